"""Define a clip, one row of a manifest, and read rows from CSV."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath, PureWindowsPath

from affekt.errors import CorpusError

GENDERS = ("f", "m", "")  # "": the corpus does not say


@dataclass(frozen=True)
class Clip:
    """One utterance of one speaker with one label."""

    file: str  #: POSIX path relative to the manifest's root
    label: str  #: one of the manifest's labels
    speaker: str  #: ``<corpus>:<id>``, unique over all corpora
    gender: str = ""  #: ``f``, ``m``, or empty if the corpus does not say
    start: float | None = None  #: seconds into the file, or None for its beginning
    end: float | None = None  #: seconds into the file, or None for its end
    channel: int | None = None  #: channel to take, counted from 0, or None for the mean of all
    seconds: float = 0.0  #: length of the clip
    text: str = ""  #: the corpus' code of the sentence, or empty
    intensity: str = ""  #: the corpus' code of the emotion's intensity, or empty


_UNWRITABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
COLUMNS = tuple(field.name for field in fields(Clip))
_NUMBERS: dict[str, Callable[[str], object]] = {
    "start": float,
    "end": float,
    "channel": int,
    "seconds": float,
}


def part_name(clip: Clip) -> str:
    """Name a clip by its file and part, as a media fragment.

    >>> part_name(Clip("call.wav", "sad", "own:1", start=2.5, channel=1))
    'call.wav#t=2.5,&channel=1'
    """
    end = "" if clip.end is None else clip.end
    channel = "" if clip.channel is None else f"&channel={clip.channel}"
    return f"{clip.file}#t={clip.start or 0.0},{end}{channel}"


def fault_of(clip: Clip, labels: tuple[str, ...]) -> str:
    """Describe the first fault of a row, with the allowed value and a remedy; empty if none."""
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
        return f"speaker must read <corpus>:<id>. Got {clip.speaker!r}. Fill in the speaker."
    if clip.gender not in GENDERS:
        return f"gender must be f, m or empty. Got {clip.gender!r}. Correct the table."
    if clip.channel is not None and clip.channel < 0:
        return f"channel must be 0 or more, or empty. Got {clip.channel}. Count from 0."
    if not 0 <= (clip.start or 0.0) < (math.inf if clip.end is None else clip.end):
        got = f"{clip.start}, {clip.end}"
        return f"start and end must be 0 <= start < end seconds. Got {got}. Correct them."
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


def read_clips(
    lines: Iterator[tuple[int, list[str]]],
    *,
    path: Path,
    allowed: tuple[str, ...],
    required: tuple[str, ...],
    first: int = 1,
) -> Iterator[Clip]:
    """Make clips of the numbered lines of a table; only columns and numbers are checked.

    Lines begin with the names of the columns, at line ``first`` if there are any.

    Raises:
        CorpusError: an unknown, missing or repeated column, a row of another length, or an
            invalid number.
    """
    first, names = next(lines, (first, []))
    header = [name.strip() for name in names]
    odd = [name for name in header if name not in allowed or header.count(name) > 1]
    missing = [name for name in required if name not in header]
    if odd or missing:
        separators = {";", "\t"}  # of other tables
        raise CorpusError(
            f"{path}: columns must be {', '.join(allowed)} (needed: {', '.join(required)}). "
            f"Got {', '.join(header) or 'none'}. Correct line {first}"
            f"{'; commas separate columns' if separators & {*''.join(header)} else ''}."
        )
    for line, row in lines:
        try:
            if len(row) != len(header):
                raise ValueError(f"{len(row)} cell{'s' * (len(row) != 1)}")
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
