"""List the recordings of a corpus in one table, and divide its speakers into folds."""

from pathlib import Path

from affekt.corpora import cremad, demos, emodb, emovo, nemo, ravdess, savee, tess
from affekt.corpora.clips import Clip
from affekt.corpora.joined import JOINT, join
from affekt.corpora.manifest import Manifest, read_manifest, write_manifest
from affekt.corpora.own import survey_own
from affekt.corpora.spec import Corpus
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
    module.CORPUS.name: module.CORPUS
    for module in (ravdess, demos, emodb, emovo, nemo, savee, tess, cremad)
}


def load(name: str, root: str | Path, *, task: str = "four", partial: bool = False) -> Manifest:
    """Read a corpus from its folder and check it against the published one.

    Args:
        name: one of ``CORPORA``, several joined by ``+``, such as ``ravdess+emovo``, or a name for
            the user's own recordings.
        root: folder of the corpus, with any depth and audio format. For several corpora, a folder
            with a folder of each name; for the user's own recordings, their manifest.
        task: ``four`` or ``all``.
        partial: accept missing, extra and undecodable files.

    Raises:
        CorpusError: unknown name or task, no such folder, another corpus than published, or a
            manifest of another corpus or task.
    """
    if Path(root).is_file():
        manifest = read_manifest(root)
        if (manifest.corpus, manifest.task) != (name, task):
            raise CorpusError(
                f"{root} must be the manifest of {name}, task {task}. Got that of "
                f"{manifest.corpus}, task {manifest.task}. Correct the recipe's corpus and task, "
                f"or write it anew."
            )
        return manifest
    if JOINT in name:
        parts = [
            load(part, Path(root) / part, task=task, partial=partial) for part in name.split(JOINT)
        ]
        return join(parts, Path(root).resolve())
    if name not in CORPORA:
        got = "a folder" if Path(root).is_dir() else "no file"
        raise CorpusError(
            f"corpus must be one of {', '.join(CORPORA)}, or {root} must be a manifest of your own "
            f"recordings. Got {name!r} and {got}. affekt corpus {name} writes a manifest."
        )
    return survey(CORPORA[name], root, task).manifest(partial=partial)
