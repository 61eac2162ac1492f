"""A manifest to what Table I says of it: how many clips of which class, how long, by whom."""

import json
from collections.abc import Hashable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd


def read_corpus(path: Path) -> dict[str, Any]:
    """Count a manifest's clips, by class and by corpus, and leave its paths out.

    Args:
        path: ``manifest.csv``.

    Returns:
        ``name``, ``task``, ``digest`` (as :attr:`affekt.corpora.manifest.Manifest.digest`), and
        ``classes``: for each label its ``clips`` and ``speakers``, and the ``seconds`` in all,
        of the ``shortest`` and of the ``longest`` clip. If speakers are of several corpora,
        ``corpora`` has such a table for each.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no manifest, or lacks a column (KeyError).
    """
    first, _, rows = path.read_text(encoding="utf-8").partition("\n")
    about = json.loads(first.removeprefix("# "))
    heading = json.dumps([about["corpus"], about["task"], about["labels"]])
    digest = sha256(f"{heading}\n{rows}".encode()).hexdigest()
    clips = pd.read_csv(path, skiprows=1, dtype={"file": str}, keep_default_na=False)
    found = {"name": about["corpus"], "task": about["task"], "digest": digest}
    found["classes"] = _classes(clips, about["labels"])
    by_corpus = clips.groupby(clips["speaker"].str.partition(":")[0])
    if len(by_corpus) > 1:
        parts = {str(name): _classes(part, about["labels"]) for name, part in by_corpus}
        found["corpora"] = parts
    return found


def _classes(clips: pd.DataFrame, labels: Sequence[str]) -> list[dict[Hashable, Any]]:
    found = clips.groupby("label").agg(
        clips=("file", "size"),
        speakers=("speaker", "nunique"),
        seconds=("seconds", "sum"),
        shortest=("seconds", "min"),
        longest=("seconds", "max"),
    )
    whole = found.round(2).reindex([label for label in labels if label in found.index])
    return whole.reset_index().to_dict("records")
