"""Write the files of a finished fold: predictions, and facts about how they were made."""

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from affekt.atomic_write import atomic_text
from affekt.corpora import CORPORA
from affekt.corpora.folds import Fold
from affekt.corpora.joined import JOINT, corpus_of
from affekt.corpora.manifest import Manifest
from affekt.runs.folder import RunIdentity
from affekt.runs.predictions import PROFILE

OWN = "own recordings"  # licence of a corpus that affekt does not know
LIBRARIES = ("affekt", "numpy", "torch", "scikit-learn", "soxr", "soundfile")


def predictions_of(
    run: RunIdentity,
    fold: Fold,
    manifest: Manifest,
    clips: NDArray[np.int64],
    probabilities: NDArray[np.floating],
    *,
    profile: str = "",
) -> pd.DataFrame:
    """Tabulate predictions as ``predictions.csv`` holds them: one row for each clip.

    Args:
        clips: ``(clips,)`` rows of the manifest.
        probabilities: ``(clips, labels)``; the largest is the prediction.
        profile: name of the enrolment, for the first column of ``enrolment.csv``.
    """
    chosen = [manifest.clips[row] for row in clips]
    columns = {
        "recipe": run.recipe,
        "seed": run.seed,
        "fold": fold.number,
        "file": [manifest.names[row] for row in clips],
        "speaker": [clip.speaker for clip in chosen],
        "gender": [clip.gender for clip in chosen],
        "truth": [clip.label for clip in chosen],
        "predicted": [manifest.labels[at] for at in probabilities.argmax(axis=1)],
    }
    shares = {f"p_{label}": probabilities[:, at] for at, label in enumerate(manifest.labels)}
    return pd.DataFrame(({PROFILE: profile} if profile else {}) | columns | shares)


def write_table(path: Path, *tables: pd.DataFrame) -> None:
    """Write tables with the same columns as one CSV file, numbers with six digits."""
    text = pd.concat(tables).to_csv(index=False, float_format="%.6f", lineterminator="\n")
    atomic_text(path, text)


def fold_facts(run: RunIdentity, fold: Fold, *, gpu: str = "") -> dict[str, Any]:
    """Recipe, seed, test speakers, versions, hardware and code revision of a fold."""
    libraries = {name: version(name) for name in LIBRARIES}
    return {
        "recipe": run.recipe,
        "digest": run.digest,
        "seed": run.seed,
        "fold": fold.number,
        "test_speakers": list(fold.test),
        "versions": {"python": platform.python_version(), **libraries},
        "hardware": hardware(gpu),
        "revision": revision(),
    }


def corpora_facts(manifest: Manifest, fold: Fold, sound_digest: str) -> list[dict[str, Any]]:
    """Training and validation speakers of a fold, for the model file: one entry for each corpus."""
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


def hardware(gpu: str = "") -> str:
    """The processor's name, its number of cores, and the GPU's name if there is one."""
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    name = found[1] if found else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores{f', {gpu}' if gpu else ''}"


def revision() -> str:
    """Git revision of the running code; empty outside a checkout."""
    if not _git("ls-files", "--error-unmatch", Path(__file__).name):
        return ""
    return _git("describe", "--always", "--dirty", "--abbrev=12")


def _git(*words: str) -> str:
    try:
        done = subprocess.run(
            ["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
    except OSError:  # no git here
        return ""
    return done.stdout.strip()
