"""Recordings to one table, and speaker-disjoint folds of it."""

from pathlib import Path

from affekt.corpora import cremad, demos, emodb, emovo, nemo, ravdess, savee, tess
from affekt.corpora.form import Corpus
from affekt.corpora.joined import JOINT, join
from affekt.corpora.manifest import Clip, Manifest, read_manifest, write_manifest
from affekt.corpora.own import survey_own
from affekt.corpora.recordings import Watch, unwatched
from affekt.corpora.survey import Survey, survey
from affekt.errors import CorpusError

__all__ = [
    "CORPORA",
    "Clip",
    "Manifest",
    "Survey",
    "load",
    "read_manifest",
    "survey",
    "survey_own",
    "write_manifest",
]

CORPORA: dict[str, Corpus] = {
    "ravdess": ravdess.CORPUS,
    "demos": demos.CORPUS,
    "emodb": emodb.CORPUS,
    "emovo": emovo.CORPUS,
    "nemo": nemo.CORPUS,
    "savee": savee.CORPUS,
    "tess": tess.CORPUS,
    "cremad": cremad.CORPUS,
}


def load(
    name: str,
    root: str | Path,
    *,
    task: str = "four",
    partial: bool = False,
    watch: Watch = unwatched,
) -> Manifest:
    """Read a corpus from its folder and check it against the published one.

    Args:
        name: one of ``CORPORA``, or several joined by ``+``, such as ``ravdess+emovo``.
        root: folder that holds it, at any depth and in any audio format; of several, the folder
            that holds a folder of each one's name.
        task: ``four`` or ``all``.
        partial: take what is there; without it nothing may be missing, extra or undecodable.
        watch: shows how far it is; gets the items and their number.

    Raises:
        CorpusError: unknown name or task, no such folder, or another corpus than published.
    """
    if JOINT in name:
        parts = [
            load(part, Path(root) / part, task=task, partial=partial, watch=watch)
            for part in name.split(JOINT)
        ]
        return join(parts, Path(root).resolve())
    if name not in CORPORA:
        raise CorpusError(
            f"corpus must be one of {', '.join(CORPORA)}. Got {name!r}. For your own recordings "
            f"use survey_own."
        )
    return survey(CORPORA[name], root, task, watch).manifest(partial=partial)
