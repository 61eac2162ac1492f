"""Read the turns of speakers from RTTM, the file format of diarization tools.

Source: NIST, "The 2009 Rich Transcription Evaluation Plan", appendix A.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path

from affekt.errors import AudioError

MAX_BYTES = 1 << 26  # far more than a month of turns


@dataclass(frozen=True, slots=True)
class Turn:
    """A span of time in which a speaker speaks.

    Args:
        start: seconds from the start of the recording.
        end: seconds, not before ``start``.
        speaker: name of the speaker.
        channel: of the recording, from 0.

    Raises:
        AudioError: a time or channel out of range.
    """

    start: float
    end: float
    speaker: str
    channel: int = 0

    def __post_init__(self) -> None:
        numbers = isinstance(self.start, Real) and isinstance(self.end, Real)
        numbers = numbers and isinstance(self.channel, Integral)
        if not (numbers and 0 <= self.start <= self.end < math.inf and self.channel >= 0):
            raise AudioError(
                f"a turn must have 0 <= start <= end in seconds, and a channel from 0. Got {self}. "
                f"Correct it."
            )


def read_turns(path: str | Path, file: str = "") -> list[Turn]:
    """Read the turns of one recording from an RTTM file, sorted by start.

    They are those whose file is the name of the recording, with or without folder and suffix.
    Without a name, the RTTM file must be of one recording. Lines that are not SPEAKER are ignored.

    Raises:
        AudioError: a file that cannot be read or is no RTTM, or one without this recording.
    """
    found = read_rttm(path)
    files = dict.fromkeys(name for name, _ in found)
    about = Path(file)
    names = {word(n) for n in (file, str(about.parent / about.stem), about.name, about.stem)}
    turns = [turn for name, turn in found if not file or name in names]
    if not turns or (not file and len(files) > 1):
        raise AudioError(
            f"{path} must hold turns of {file or 'one recording'}. Got turns of "
            f"{', '.join(files) or 'none'}. The second column is the recording's name without "
            f"suffix."
        )
    return sorted(turns, key=lambda turn: (turn.start, turn.end))


def word(text: str) -> str:
    """Text without blanks, which part the fields of a line of RTTM.

    >>> word("speaker 1"), word("")
    ('speaker_1', '-')
    """
    return "_".join(text.split()) or "-"


def read_rttm(path: str | Path) -> list[tuple[str, Turn]]:
    """Read the turns of all recordings, each with the name of its recording.

    Raises:
        AudioError: a file that cannot be read or is no RTTM.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)  # a device may never end
        text = content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", error)
        raise AudioError(f"{path} cannot be read: {reason}. Name an RTTM file in UTF-8.") from error
    if len(content) > MAX_BYTES:
        raise AudioError(
            f"{path} must have at most {MAX_BYTES} bytes. Got more. Name an RTTM file in UTF-8."
        )
    return [*_parsed(text, path)]


def _parsed(text: str, path: Path) -> Iterator[tuple[str, Turn]]:
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if not fields or fields[0].startswith(";;"):
            continue
        try:
            kind, file, channel, start, duration, _, _, speaker = fields[:8]
            if kind.isupper() and kind != "SPEAKER":
                continue
            turn = Turn(float(start), float(start) + float(duration), speaker, int(channel) - 1)
            if kind != "SPEAKER":
                raise ValueError
            yield file, turn
        except ValueError as error:
            raise AudioError(
                f"{path}, line {number}, must be SPEAKER, file, channel, start, duration, two "
                f"fields, and speaker, with times in seconds. Got {line[:80]!r}. Write it as RTTM."
            ) from error
