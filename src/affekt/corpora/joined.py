"""Join the manifests of several corpora."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from affekt.corpora.manifest import Manifest
from affekt.errors import CorpusError

JOINT = "+"  # between the names of corpora that make one table


def join(manifests: Sequence[Manifest], root: Path) -> Manifest:
    """Join the tables of corpora with the same labels.

    ``root`` has a folder, or a link to one, named after each corpus.

    Returns:
        One table with the corpora in their order; its name joins theirs by ``+``.

    Raises:
        CorpusError: a corpus occurs twice, or labels differ.
    """
    names = [name for manifest in manifests for name in manifest.corpus.split(JOINT)]
    first = manifests[0]
    for manifest in manifests[1:]:
        if manifest.labels != first.labels:
            raise CorpusError(
                f"corpora {JOINT.join(names)} must have the same labels. Got "
                f"{', '.join(first.labels)} in {first.corpus} and {', '.join(manifest.labels)} in "
                f"{manifest.corpus}. Use task four."
            )
    if len(set(names)) < len(names):
        raise CorpusError(
            f"corpora joined must differ. Got {JOINT.join(names)}. Name each of them once."
        )
    clips = tuple(
        replace(clip, file=f"{manifest.corpus}/{clip.file}")
        for manifest in manifests
        for clip in manifest.clips
    )
    return Manifest(JOINT.join(names), first.task, first.labels, root, clips)


def corpus_of(speaker: str) -> str:
    """Return the corpus of a speaker.

    >>> corpus_of("ravdess:21")
    'ravdess'
    """
    return speaker.partition(":")[0]
