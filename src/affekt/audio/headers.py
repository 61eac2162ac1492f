"""First bytes to facts: what a recording claims to be, checked before a decoder guesses."""

import io
import struct
from dataclasses import dataclass
from typing import BinaryIO

from affekt.errors import AudioError

RATES = (1_000, 768_000)  # Hz: below no speech is left, above there are no converters
CHANNELS = 256  # at most
_HEAD = 4_096  # bytes that tell what a file is
_ENDLESS = 0x7FFF_0000  # bytes; what claims more than this and has less was written to a pipe
_MPEG = {0x50, 0x55}  # WAV's numbers for MPEG audio
_ORDERS = {  # byte order, and the chunk that holds the sound
    b"RIFF": ("<", b"data"),
    b"RF64": ("<", b"data"),
    b"RIFX": (">", b"data"),
    b"FORM": (">", b"SSND"),
}


@dataclass(frozen=True)
class Riff:
    """How much sound a WAV or AIFF promises, and how much is there."""

    promised: int | None
    """Bytes; None if it was written to a pipe and promises nothing."""
    there: int
    """Bytes"""
    frame: int | None
    """Bytes of one sample of all channels; None where that is not fixed or not known."""
    mpeg: bool
    """Whether it is MP3 inside."""


def head_of(file: BinaryIO, name: str) -> bytes:
    """The first bytes of a recording, once they are not certainly something else.

    Raises:
        AudioError: nothing, text, a git-lfs pointer, or a web page.
    """
    head = file.read(_HEAD)
    if not isinstance(head, bytes):
        raise AudioError(f"{name} is open as text. Open it with mode 'rb'.")
    while len(head) < _HEAD and (more := file.read(_HEAD - len(head))):
        head += more  # a pipe gives what it has
    if not head:
        raise AudioError(f"{name} is empty (0 bytes). Record or copy it again.")
    if head.startswith(b"version https://git-lfs"):
        raise AudioError(f"{name} is a git-lfs pointer, not the sound. Fetch it with: git lfs pull")
    if head.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise AudioError(f"{name} is a web page, not a sound. Download the recording itself.")
    return head


def is_mpeg(head: bytes) -> bool:
    """Whether these are the first bytes of an MP3, or of what would be taken for one.

    >>> is_mpeg(b"ID3"), is_mpeg(bytes([0xFF, 0xFB])), is_mpeg(b"RIFF")
    (True, True, False)
    """
    return head.startswith(b"ID3") or (head[0] == 0xFF and head[1:2] >= b"\xe0")


def checked(rate: int, channels: int, name: str) -> tuple[int, int]:
    """Refuse what no recorder writes, before it costs memory.

    Raises:
        AudioError: a sample rate or a number of channels out of range.
    """
    if not RATES[0] <= rate <= RATES[1]:
        raise AudioError(
            f"sample rate of {name} must be in [{RATES[0]}, {RATES[1]}] Hz. Got {rate}. "
            f"Record or convert it again."
        )
    if not 1 <= channels <= CHANNELS:
        raise AudioError(
            f"{name} must have 1 to {CHANNELS} channels. Got {channels}. Convert it to mono."
        )
    return rate, channels


def riff_of(file: BinaryIO, name: str) -> Riff | None:
    """Walk the chunks of a WAV or AIFF up to its sound; None if it is neither.

    Args:
        file: seekable; left anywhere.
        name: what messages call it.

    Raises:
        AudioError: a WAV with a sample rate or a number of channels out of range.

    Source: Microsoft, "Multimedia Programming Interface and Data Specifications 1.0"; EBU 3306.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if head[:4] not in _ORDERS or len(head) < 12:
        return None
    order, sound = _ORDERS[head[:4]]
    closed = struct.unpack(order + "I", head[4:8])[0] == size - 8
    long, frame, mpeg = 0, None, False
    while len(start := file.read(8)) == 8:
        kind, length = start[:4], struct.unpack(order + "I", start[4:])[0]
        here = file.tell()
        if kind == sound:
            there = size - here
            endless = length >= _ENDLESS and length > there
            if not long and (endless or (not length and not closed)):
                return Riff(None, there, frame, mpeg)
            return Riff(long or length, there, frame, mpeg)
        if kind == b"fmt ":
            frame, mpeg = _form(file.read(16), order, name)
        if kind == b"ds64":
            long = int.from_bytes(file.read(16)[8:], "little")
        file.seek(here + length + length % 2)
    return None


def _form(fields: bytes, order: str, name: str) -> tuple[int | None, bool]:
    if len(fields) < 16:
        return None, False
    form, channels, rate, _, align, bits = struct.unpack(order + "HHIIHH", fields)
    checked(rate, channels, name)
    return align if align and align == channels * bits // 8 else None, form in _MPEG
