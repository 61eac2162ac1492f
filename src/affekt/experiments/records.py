"""What a fold leaves behind for people and reports: predictions, and who made them with what."""

import csv
import json
import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from affekt.corpora import CORPORA
from affekt.corpora.manifest import Manifest
from affekt.corpora.splits import Fold
from affekt.experiments.recipe import Recipe

COLUMNS = ("recipe", "seed", "fold", "file", "speaker", "gender", "truth", "predicted")
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
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow([*COLUMNS, *(f"p_{label}" for label in manifest.labels)])
        for row, shares in zip(clips, probabilities, strict=True):
            clip = manifest.clips[row]
            predicted = manifest.labels[shares.argmax()]
            who = (clip.file, clip.speaker, clip.gender, clip.label, predicted)
            numbers = (f"{share:.6f}" for share in shares)
            table.writerow([recipe.name, recipe.seed, fold.number, *who, *numbers])


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file that is whole as soon as it is there."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


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


def corpus_facts(manifest: Manifest, fold: Fold, sound_digest: str) -> dict[str, Any]:
    """Who a fold's network has learned from, for the model file."""
    return {
        "name": manifest.corpus,
        "licence": CORPORA[manifest.corpus].licence,
        "digest": sound_digest,
        "clips": sum(clip.speaker in fold.train for clip in manifest.clips),
        "speakers": list(fold.train),
        "validation_speakers": list(fold.validation),
    }


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
