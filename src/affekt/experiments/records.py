"""What a fold leaves behind for people and reports: predictions, and who made them with what."""

import csv
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from affekt.atomic_write import atomic_write
from affekt.corpora import CORPORA
from affekt.corpora.folds import Fold
from affekt.corpora.joined import JOINT, corpus_of
from affekt.corpora.manifest import Manifest
from affekt.evaluation.predictions import COLUMNS, PROFILE
from affekt.experiments.recipe import Recipe

OWN = "own recordings"  # whose licence nobody else knows
LIBRARIES = ("affekt", "numpy", "torch", "scikit-learn", "soxr", "soundfile")


def write_predictions(
    path: Path,
    recipe: Recipe,
    fold: Fold,
    manifest: Manifest,
    clips: NDArray[np.int64],
    probabilities: NDArray[np.floating],
) -> None:
    """Write ``predictions.csv``: one row per test clip.

    Args:
        path: the file.
        recipe: what was run.
        fold: which part of it.
        manifest: whose clips.
        clips: ``(clips,)`` rows of the manifest that were tested.
        probabilities: ``(clips, labels)``; the largest is the prediction.
    """
    rows = _rows(recipe, fold, manifest, clips, probabilities)
    _write_table(path, _header(manifest), rows)


def write_enrolment(
    path: Path,
    recipe: Recipe,
    fold: Fold,
    manifest: Manifest,
    clips: NDArray[np.int64],
    conditions: Mapping[str, NDArray[np.floating]],
) -> None:
    """Write ``enrolment.csv``: one row per test clip and condition of its speaker's profile.

    Args:
        path: the file.
        recipe: what was run.
        fold: which part of it.
        manifest: whose clips.
        clips: ``(clips,)`` rows of the manifest that were tested.
        conditions: by the condition's name, ``(clips, labels)`` probabilities.
    """
    rows = (
        [name, *row]
        for name, probabilities in conditions.items()
        for row in _rows(recipe, fold, manifest, clips, probabilities)
    )
    _write_table(path, [PROFILE, *_header(manifest)], rows)


def _header(manifest: Manifest) -> list[str]:
    return [*COLUMNS, *(f"p_{label}" for label in manifest.labels)]


def _rows(
    recipe: Recipe,
    fold: Fold,
    manifest: Manifest,
    clips: NDArray[np.int64],
    probabilities: NDArray[np.floating],
) -> Iterator[list[object]]:
    for row, shares in zip(clips, probabilities, strict=True):
        clip = manifest.clips[row]
        predicted = manifest.labels[shares.argmax()]
        who = (manifest.names[row], clip.speaker, clip.gender, clip.label, predicted)
        numbers = (f"{share:.6f}" for share in shares)
        yield [recipe.name, recipe.seed, fold.number, *who, *numbers]


def _write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file that is whole as soon as it is there."""
    with atomic_write(path) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def fold_facts(recipe: Recipe, fold: Fold) -> dict[str, Any]:
    """What was run, on what, with what: recipe, seed, versions, hardware, code revision."""
    libraries = {name: version(name) for name in LIBRARIES}
    return {
        "recipe": recipe.name,
        "digest": recipe.digest,
        "seed": recipe.seed,
        "fold": fold.number,
        "test_speakers": list(fold.test),
        "versions": {"python": platform.python_version(), **libraries},
        "hardware": hardware(),
        "revision": revision(),
    }


def corpora_facts(manifest: Manifest, fold: Fold, sound_digest: str) -> list[dict[str, Any]]:
    """Who a fold's network has learned from, for the model file: one entry a corpus.

    Args:
        manifest: of one corpus, or of several joined.
        fold: who trained and validated.
        sound_digest: of all the manifest's recordings.
    """
    facts = []
    for name in manifest.corpus.split(JOINT):
        train, validation = (
            [speaker for speaker in part if corpus_of(speaker) == name]
            for part in (fold.train, fold.validation)
        )
        if train or validation:
            facts.append(
                {
                    "name": name,
                    "licence": CORPORA[name].licence if name in CORPORA else OWN,
                    "digest": sound_digest,
                    "clips": sum(clip.speaker in train for clip in manifest.clips),
                    "speakers": train,
                    "validation_speakers": validation,
                }
            )
    return facts


def hardware() -> str:
    """The processor's name, its number of cores, and the GPU's name if there is one."""
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    name = found[1] if found else platform.processor() or platform.machine()
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name}, {os.cpu_count()} cores{gpu}"


def revision() -> str:
    """Git's name of the code that runs, or empty where it is not a checkout of it."""
    if not _git("ls-files", "--error-unmatch", Path(__file__).name):
        return ""
    return _git("describe", "--always", "--dirty", "--abbrev=12")


def _git(*words: str) -> str:
    try:
        done = subprocess.run(
            ["git", *words],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:  # no git here
        return ""
    return done.stdout.strip()
