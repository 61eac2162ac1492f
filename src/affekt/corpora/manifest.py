"""Recordings to one table: ``manifest.csv``, one row per clip, and every check on it.

A :class:`Manifest` cannot hold a clip without a label, a speaker with two genders, or a path
that leaves the root: making one proves all of it, wherever the rows came from.

The file is CSV (UTF-8) below one line ``# {...}``, JSON that names corpus, task, labels in
their order, and the folder of the recordings.
"""

import csv
import hashlib
import io
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import groupby
from pathlib import Path, PurePosixPath, PureWindowsPath

from affekt.corpora.tables import read_lines, read_text, write_text
from affekt.errors import CorpusError

GENDERS = ("f", "m", "")  # "": the corpus does not say


@dataclass(frozen=True)
class Clip:
    """One utterance of one speaker with one label.

    Attributes:
        file: POSIX path relative to the manifest's root.
        label: one of the manifest's labels.
        speaker: ``<corpus>:<id>``, so that speakers of two corpora never meet.
        gender: ``f``, ``m``, or empty if the corpus does not say.
        start: seconds into the file, or None for its beginning.
        end: seconds into the file, or None for its end.
        channel: channel to take, counted from 0, or None for the mean of all.
        seconds: length of the clip.
        text: the corpus' code of what is said, or empty.
        intensity: the corpus' word for how strongly it is acted, or empty.
    """

    file: str
    label: str
    speaker: str
    gender: str = ""
    start: float | None = None
    end: float | None = None
    channel: int | None = None
    seconds: float = 0.0
    text: str = ""
    intensity: str = ""


_UNWRITABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
COLUMNS = tuple(field.name for field in fields(Clip))
_NUMBERS: dict[str, Callable[[str], object]] = {
    "start": float,
    "end": float,
    "channel": int,
    "seconds": float,
}


@dataclass(frozen=True)
class Manifest:
    """A corpus as one table, checked.

    Attributes:
        corpus: name of the corpus.
        task: name of the label set, such as ``four``.
        labels: all labels of the task in the order of a model's outputs.
        root: folder that the clips' files are relative to.
        clips: the rows, at least one.

    Raises:
        CorpusError: any clip breaks a rule of :class:`Clip`, two clips share sound, a speaker
            has two genders, or there are no clips.
    """

    corpus: str
    task: str
    labels: tuple[str, ...]
    root: Path
    clips: tuple[Clip, ...]

    def __post_init__(self) -> None:
        if not self.clips:
            raise CorpusError(
                f"manifest of {self.corpus}, task {self.task}: must hold at least one clip. "
                f"Got none under {self.root}. Check the folder and the task."
            )
        if not self.labels or "" in self.labels or len(set(self.labels)) < len(self.labels):
            raise CorpusError(
                f"manifest of {self.corpus}: labels must be different and not empty. "
                f"Got {', '.join(map(repr, self.labels)) or 'none'}. Name each label once."
            )
        for clip in self.clips:
            fault = _fault(clip, self.labels)
            if fault:
                raise CorpusError(f"manifest of {self.corpus}, clip {clip.file!r}: {fault}")
        _refuse_two_genders(self)
        _refuse_shared_sound(self)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of task, labels and rows, as 64 hex digits; the same wherever the root is."""
        heading = json.dumps([self.corpus, self.task, self.labels])
        return hashlib.sha256(f"{heading}\n{_rows(self)}".encode()).hexdigest()

    @cached_property
    def speakers(self) -> tuple[str, ...]:
        """All speakers, sorted."""
        return tuple(sorted({clip.speaker for clip in self.clips}))


def _fault(clip: Clip, labels: tuple[str, ...]) -> str:
    corpus, _, speaker = clip.speaker.partition(":")
    texts = clip.file, clip.label, clip.speaker, clip.text, clip.intensity
    if any(map(_UNWRITABLE.search, texts)):
        return "names must be text of one line. Got a control or broken character. Rename it."
    if not _below_root(clip.file):
        return "file must be a relative path with / that stays below the root. Move it there."
    if clip.label not in labels:
        got = repr(clip.label) if clip.label else "an empty label"
        return f"label must be one of {', '.join(labels)}. Got {got}. Map it or leave it out."
    if not corpus or not speaker.strip() or clip.speaker != clip.speaker.strip():
        return f"speaker must read <corpus>:<id>. Got {clip.speaker!r}. Name who speaks."
    if clip.gender not in GENDERS:
        return f"gender must be f, m or empty. Got {clip.gender!r}. Correct the table."
    if clip.channel is not None and clip.channel < 0:
        return f"channel must be 0 or more, or empty. Got {clip.channel}. Count from 0."
    if not 0 <= (clip.start or 0.0) < (math.inf if clip.end is None else clip.end):
        return f"start and end must be 0 <= start < end seconds. Got {clip.start}, {clip.end}."
    if clip.end == math.inf or not 0 < clip.seconds < math.inf:
        return f"seconds must be a number above 0. Got {clip.seconds}. Leave the clip out."
    return ""


def _below_root(file: str) -> bool:
    path = PurePosixPath(file)
    return (
        str(path) == file
        and not path.is_absolute()
        and not {"", ".", ".."} & {file, *path.parts}
        and "\\" not in file
        and not PureWindowsPath(file).anchor
    )


def _refuse_two_genders(manifest: Manifest) -> None:
    genders: dict[str, str] = {}
    for clip in manifest.clips:
        before = genders.setdefault(clip.speaker, clip.gender)
        if before != clip.gender:
            raise CorpusError(
                f"manifest of {manifest.corpus}: speaker {clip.speaker} must have one gender. "
                f"Got {before!r} and {clip.gender!r} ({clip.file}). Correct the table or give "
                f"two people two names."
            )


def _refuse_shared_sound(manifest: Manifest) -> None:
    """The same sound twice would sit in training and test, or weigh double."""

    def place(clip: Clip) -> tuple[str, int]:
        return clip.file, -1 if clip.channel is None else clip.channel

    by_place = sorted(manifest.clips, key=lambda clip: (place(clip), clip.start or 0.0))
    for (file, _), group in groupby(by_place, key=place):
        for before, clip in _overlaps(tuple(group)):
            if (before.start or 0.0, before.end) == (clip.start or 0.0, clip.end):
                raise CorpusError(
                    f"manifest of {manifest.corpus}: {file} must stand in one row for each of "
                    f"its parts. Got the same part twice. Remove one row."
                )
            if before.speaker != clip.speaker:
                raise CorpusError(
                    f"manifest of {manifest.corpus}: parts of {file} by two speakers must not "
                    f"overlap. Got {before.speaker} until {before.end} s and {clip.speaker} from "
                    f"{clip.start or 0.0} s. Correct start and end, or give each a channel."
                )


def _overlaps(clips: tuple[Clip, ...]) -> Iterator[tuple[Clip, Clip]]:
    for index, before in enumerate(clips):
        for clip in clips[index + 1 :]:
            if before.end is not None and (clip.start or 0.0) >= before.end:
                break
            yield before, clip


def _rows(manifest: Manifest) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows(vars(clip).values() for clip in manifest.clips)
    return text.getvalue()


def write_manifest(manifest: Manifest, path: str | Path) -> None:
    """Write ``manifest.csv``.

    Args:
        manifest: what to write.
        path: file to write; its folders are made.

    Raises:
        CorpusError: it cannot be written.
    """
    about = {
        "corpus": manifest.corpus,
        "task": manifest.task,
        "labels": manifest.labels,
        "root": str(manifest.root),
    }
    write_text(Path(path), f"# {json.dumps(about)}\n{_rows(manifest)}")


def read_manifest(path: str | Path, root: str | Path | None = None) -> Manifest:
    """Read ``manifest.csv`` and check all of it.

    Args:
        path: file that :func:`write_manifest` wrote.
        root: folder of the recordings, if it moved since.

    Returns:
        The manifest; its digest is that of the one written.

    Raises:
        CorpusError: no such file, not a manifest, a column unknown or missing, a number that
            is none, or any rule of :class:`Manifest` broken.
    """
    path = Path(path)
    first, _, rows = read_text(path).partition("\n")
    try:
        about = json.loads(first.removeprefix("# "))
        corpus, task, labels = about["corpus"], about["task"], tuple(about["labels"])
        root = Path(about["root"] if root is None else root)
    except (ValueError, TypeError, KeyError) as error:
        raise CorpusError(
            f"{path}: the first line of a manifest must name corpus, task, labels and root as "
            f"'# {{JSON}}'. Got {first[:60]!r}. Write it with: affekt corpus NAME ROOT -o {path}"
        ) from error
    table = read_clips(rows, path=path, first_row=2, allowed=COLUMNS, required=COLUMNS)
    return Manifest(corpus, task, labels, root, tuple(table))


def read_clips(
    text: str,
    *,
    path: Path,
    first_row: int,
    allowed: tuple[str, ...],
    required: tuple[str, ...],
) -> Iterator[Clip]:
    """Clips of a CSV text, unchecked but for its columns and numbers.

    Args:
        text: the table with its header.
        path: where it came from, for messages.
        first_row: line of the header in ``path``, for messages.
        allowed: columns that may stand in it.
        required: columns that must.

    Yields:
        One clip a row.

    Raises:
        CorpusError: a column unknown, missing or twice, a row of another length, or a number
            that is none.
    """
    lines = read_lines(text, path=path, first_row=first_row)
    _, names = next(lines, (0, []))
    header = [name.strip() for name in names]
    odd = [name for name in header if name not in allowed or header.count(name) > 1]
    missing = [name for name in required if name not in header]
    if odd or missing:
        raise CorpusError(
            f"{path}: columns must be {', '.join(allowed)} (needed: {', '.join(required)}). "
            f"Got {', '.join(header) or 'none'}. Correct line {first_row}."
        )
    for line, row in lines:
        try:
            if len(row) != len(header):
                raise ValueError(f"{len(row)} cells")
            yield _clip(dict(zip(header, row, strict=True)))
        except ValueError as error:
            raise CorpusError(
                f"{path}, line {line}: must hold {len(header)} cells, {', '.join(_NUMBERS)} as "
                f"numbers or empty. Got {error}. Correct that line."
            ) from error


def _clip(cells: dict[str, str]) -> Clip:
    values: dict[str, object] = {}
    for name, text in cells.items():
        number = _NUMBERS.get(name)
        if number is None:
            values[name] = text if name == "file" else text.strip()
        elif text.strip():
            values[name] = number(text)
    return Clip(**values)  # type: ignore[arg-type]
