"""Survey a user's own recordings: a table, folders named after labels, or a manifest.

A table has the columns ``file,label,speaker`` and optionally ``start,end,gender``, or columns that
are mapped to these; files are relative to the table. In folders, the first folder below the root is
the label, and a regular expression finds the speaker in the path.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from affekt.corpora.clips import Clip, part_name, read_clips
from affekt.corpora.manifest import read_manifest
from affekt.corpora.own_tables import PARQUET, table_lines
from affekt.corpora.recordings import Watch, measured, recordings_in, unwatched
from affekt.corpora.spec import FOUR, LABELS
from affekt.corpora.survey import Survey
from affekt.corpora.tables import read_text
from affekt.errors import CorpusError

REQUIRED = ("file", "label", "speaker")
COLUMNS = (*REQUIRED, "start", "end", "gender")


def survey_own(
    name: str,
    source: str | Path,
    task: str = "all",
    *,
    labels: Mapping[str, str] | None = None,
    speaker: str = "",
    columns: Mapping[str, str] | None = None,
    watch: Watch = unwatched,
) -> Survey:
    """Survey a user's own recordings; the name is of letters, digits, ``_`` and ``-``.

    Args:
        source: a table, CSV or Parquet; a folder whose first subfolders are labels; or a manifest.
        task: ``four``, or ``all`` for all labels.
        labels: label of the task by own label; an empty one excludes its clips. Other labels
            stay as they are.
        speaker: for folders, a regular expression that matches the speaker in a path below the
            root, by its first group if it has one.
        columns: for tables, affekt's column by the table's own name, such as ``emotion`` for
            ``label``; other columns are then ignored.

    Returns:
        The survey; only unreadable files are faults.

    Raises:
        CorpusError: a bad name, task, table or expression; a label outside the task; a path
            without a speaker; or a label to map that no clip has.
    """
    if not re.fullmatch(r"[\w-]+", name):
        raise CorpusError(
            f"name of a corpus must be letters, digits, _ and -. Got {name!r}. Choose another."
        )
    if task not in ("four", "all"):
        raise CorpusError(
            f"task of {name} must be one of four, all. Got {task!r}. Choose one of them."
        )
    source = Path(source).resolve()
    if not source.exists():
        raise CorpusError(
            f"{source} must be a table of recordings, or a folder of them. Got nothing there. "
            f"Check the path."
        )
    found: Iterable[Clip]
    if (speaker and source.is_file()) or (columns and not source.is_file()):
        raise CorpusError(
            f"a speaker pattern must be for a folder of recordings, and columns for a table. "
            f"Got {'a pattern' if speaker else 'columns'} for {source}. Leave them out."
        )
    if not source.is_file():
        root, found = source, _in_folders(source, speaker)
    elif source.suffix.lower() not in PARQUET and read_text(source).startswith("# {"):
        manifest = read_manifest(source)
        root, found = manifest.root, manifest.clips
    else:
        root, lines = source.parent, table_lines(source, COLUMNS, columns or {})
        found = read_clips(lines, path=source, allowed=COLUMNS, required=REQUIRED)
    given = {_composed(own): _composed(label) for own, label in (labels or {}).items()}
    keyed = tuple(
        replace(
            clip,
            file=PurePosixPath(clip.file).as_posix(),
            label=_composed(clip.label),
            speaker=f"{name}:{_composed(clip.speaker)}",
        )
        for clip in found
    )
    clips = _mapped(keyed, given, task, name)
    good, bad = measured(root, clips, watch)
    own = {clip.label for clip in clips}
    known = tuple(label for label in LABELS if label in own)
    order = FOUR if task == "four" else (*known, *sorted(own - set(LABELS)))
    return Survey(name, task, order, root, good, bad)


def _composed(text: str) -> str:
    """The same for equal names: macOS writes those of files with accents as extra characters."""
    return unicodedata.normalize("NFC", text)


def _in_folders(root: Path, speaker: str) -> Iterator[Clip]:
    try:
        pattern = re.compile(_composed(speaker))
    except re.error as error:
        raise CorpusError(
            f"speaker must be a regular expression. Got {speaker!r}: {error}. Correct it."
        ) from error
    for file in recordings_in(root):
        label, _, rest = file.partition("/")
        match = pattern.search(_composed(file))
        who = (match[min(1, pattern.groups)] or "").strip() if match else ""
        if not rest or not who:
            raise CorpusError(
                f"{root / file} must be in a folder named after its label, and the speaker "
                f"pattern must find a name in its path. Got pattern '{speaker}'. Give "
                f"--speaker, as in --speaker '(\\w+)_\\d+', or a table."
            )
        yield Clip(file, label.strip(), who)


def _mapped(
    clips: tuple[Clip, ...], labels: Mapping[str, str], task: str, name: str
) -> tuple[Clip, ...]:
    present = sorted({clip.label for clip in clips})
    idle = sorted(labels.keys() - set(present))
    if idle or "" in present:
        bare = [
            clip.file if clip.start is None and clip.end is None else part_name(clip)
            for clip in clips
            if not clip.label
        ][:1]
        raise CorpusError(
            f"every clip of {name} must have a label, and every label to map must occur. "
            f"Got none for {', '.join(map(repr, [*idle, *bare]))}. "
            f"Its labels: {', '.join(map(repr, filter(None, present))) or 'none'}. "
            f"Fill in the label, or correct --label."
        )
    target = {own: labels.get(own, own) for own in present}
    odd = [own for own, label in target.items() if label and label not in FOUR]
    if task == "four" and odd:
        raise CorpusError(
            f"labels of {name} for task four must be {', '.join(FOUR)}. Got "
            f"{', '.join(map(repr, odd))}. Map each (--label OWN=angry) or leave it out "
            f"(--label OWN=)."
        )
    return tuple(replace(clip, label=target[clip.label]) for clip in clips if target[clip.label])
