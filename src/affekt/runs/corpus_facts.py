"""Count the clips of a manifest by class and by corpus, for the report."""

from collections.abc import Hashable, Sequence
from typing import Any

import pandas as pd

from affekt.corpora.joined import corpus_of
from affekt.corpora.manifest import Manifest


def corpus_facts(manifest: Manifest) -> dict[str, Any]:
    """Count the clips of a manifest by class and by corpus, and leave its paths out.

    Returns:
        ``name``, ``task``, ``digest`` (as :attr:`affekt.corpora.manifest.Manifest.digest`), and
        ``classes``: for each label its ``clips`` and ``speakers``, and the ``seconds`` of all,
        of the ``shortest`` and of the ``longest`` clip. For joined corpora, ``corpora`` has such
        a table for each.
    """
    rows = [(c.label, c.speaker, c.seconds, corpus_of(c.speaker)) for c in manifest.clips]
    clips = pd.DataFrame(rows, columns=["label", "speaker", "seconds", "corpus"])
    found: dict[str, Any] = {
        "name": manifest.corpus,
        "task": manifest.task,
        "digest": manifest.digest,
        "classes": _classes(clips, manifest.labels),
    }
    by_corpus = {str(n): _classes(c, manifest.labels) for n, c in clips.groupby("corpus")}
    return found | ({"corpora": by_corpus} if len(by_corpus) > 1 else {})


def _classes(clips: pd.DataFrame, labels: Sequence[str]) -> list[dict[Hashable, Any]]:
    found = clips.groupby("label").agg(
        clips=("speaker", "size"),
        speakers=("speaker", "nunique"),
        seconds=("seconds", "sum"),
        shortest=("seconds", "min"),
        longest=("seconds", "max"),
    )
    whole = found.round(2).reindex([label for label in labels if label in found.index])
    return whole.reset_index().to_dict("records")
