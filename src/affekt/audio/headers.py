"""Parse the first bytes of a recording, and check its header before it is decoded."""

import io
import string
import struct
from dataclasses import dataclass
from itertools import accumulate
from typing import BinaryIO

from affekt.audio.pcm import Pcm, wav_encoding
from affekt.errors import AudioError

RATES = (1_000, 768_000)  # Hz: below no speech is left, above there are no converters
CHANNELS = 256  # at most
CHUNKS = 10_000  # before the sound of a WAV; recorders write a few dozen at most
_HEAD = 4_096  # bytes that tell what a file is
_ENDLESS = 0x7FFF_0000  # bytes; what claims more than this and has less was written to a pipe
_MPEG = {0x50, 0x55}  # WAV's numbers for MPEG audio
_EXTENSIBLE = 0xFFFE  # the number of a form that stands elsewhere
# Of what libsndfile and FFmpeg read: no one speaks so that samples look like this.
_NAMES = b"fLaC OggS caff ID3 riff .snd NIST_1A MATLAB #!AMR wvpk TTA1 FLV".split()
_FIRST_BYTES = (*_NAMES, b"\x1aE\xdf\xa3", b"0&\xb2u")  # the last two: Matroska, Windows Media
_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free"}  # one is first in MP4 and QuickTime
_W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")  # first bytes of Sony's Wave64
_ORDERS = {  # byte order, and the chunk that holds the sound
    b"RIFF": ("<", b"data"),
    b"RF64": ("<", b"data"),
    b"RIFX": (">", b"data"),
    b"FORM": (">", b"SSND"),
}


@dataclass(frozen=True)
class Riff:
    """Position, promised size and actual size of the sound in a WAV or AIFF."""

    start: int
    """Bytes before the sound."""
    promised: int | None
    """Bytes; None if it was written to a pipe, without a size."""
    there: int
    """Bytes"""
    frame: int | None
    """Bytes of one sample of all channels; None if variable or unknown."""
    mpeg: bool
    """Whether it contains MP3."""
    pcm: Pcm | None
    """Format of PCM samples; None for other codings."""


def head_of(file: BinaryIO, name: str) -> bytes:
    """Read the first bytes of a recording, and refuse known other content.

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


def is_recording(head: bytes) -> bool:
    """Return whether first bytes are of a known format, not samples without a header.

    MPEG audio must have further frames, since a sample may equal its first bytes.

    >>> is_recording(b"fLaC"), is_recording(bytes([0xFF, 0xFB, 0x90, 0]))
    (True, False)
    """
    if head.startswith(_FIRST_BYTES) or head[:4] in _ORDERS or head[4:8] in _BOXES:
        return True
    if not is_mpeg(head):
        return False
    import av  # slow to load

    for codec in ("mp3", "aac"):
        frames = av.CodecContext.create(codec, "r").parse(head)
        starts = [at for at in accumulate(frame.size for frame in frames) if at < len(head)][:3]
        if starts and all(is_mpeg(head[at:]) for at in starts):
            return True
    return False


def is_text(head: bytes) -> bool:
    r"""Return whether bytes are ASCII text only.

    >>> is_text(b"Hello.\n"), is_text(bytes(8))
    (True, False)
    """
    return not head.strip(string.printable.encode())


def is_mpeg(head: bytes) -> bool:
    """Return whether bytes begin like an MP3.

    >>> is_mpeg(b"ID3"), is_mpeg(bytes([0xFF, 0xFB])), is_mpeg(b"RIFF")
    (True, True, False)
    """
    return head.startswith(b"ID3") or (head[0] == 0xFF and head[1:2] >= b"\xe0")


def checked(rate: int, channels: int, name: str) -> tuple[int, int]:
    """Check the sample rate and the number of channels, and return both.

    Raises:
        AudioError: a sample rate or a number of channels out of range.
    """
    if not RATES[0] <= rate <= RATES[1]:
        raise AudioError(
            f"sample rate of {name} must be in [{RATES[0]}, {RATES[1]}] Hz. Got {rate}. "
            f"Record or convert it again."
        )
    if not 1 <= channels <= CHANNELS:
        remedy = "Convert it to mono" if channels else "Record or copy it again"
        raise AudioError(f"{name} must have 1 to {CHANNELS} channels. Got {channels}. {remedy}.")
    return rate, channels


def promised_size(head: bytes) -> int | None:
    r"""Bytes that a W64, AU, CAF or AVI promises to have at least; None if it does not say.

    >>> promised_size(b".snd" + bytes([0, 0, 0, 24]) + bytes([0, 0, 4, 0]))
    1048
    """
    promised = 0
    if head.startswith(b".snd"):
        promised = sum(struct.unpack(">II", head[4:12].ljust(8, b"\0")))
    elif head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        promised = 8 + int.from_bytes(head[4:8], "little")
    elif head.startswith(_W64):
        return int.from_bytes(head[16:24], "little", signed=True)
    elif head.startswith(b"caff"):
        return _caf_size(head)
    return promised if promised < _ENDLESS else None


def _caf_size(head: bytes) -> int | None:
    """Where the sound of a CAF ends, if its chunk starts in the first bytes and is not endless."""
    at = 8
    while len(start := head[at : at + 12]) == 12:
        length = int.from_bytes(start[4:], "big", signed=True)
        at += 12 + max(length, 0)
        if start[:4] == b"data":
            return at if length > 0 else None
    return None


def riff_of(file: BinaryIO, name: str) -> Riff | None:
    """Read the chunks of a WAV or AIFF up to its sound; None if it is neither.

    Args:
        file: seekable; its position changes.
        name: used in messages.

    Raises:
        AudioError: a WAV with a sample rate or a number of channels out of range, or with too many
            chunks before its sound.

    Source: Microsoft, "Multimedia Programming Interface and Data Specifications 1.0"; EBU 3306.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if head[:4] not in _ORDERS or len(head) < 12:
        return None
    order, sound = _ORDERS[head[:4]]
    closed = struct.unpack(order + "I", head[4:8])[0] == size - 8
    long, frame, mpeg, pcm = 0, None, False, None
    for _ in range(CHUNKS):
        if len(start := file.read(8)) < 8:
            return None
        kind, length = start[:4], struct.unpack(order + "I", start[4:])[0]
        if not (kind.isascii() and kind.decode().isprintable()):
            return None  # no name of a chunk: what is left by a power cut may be gigabytes of zeros
        here = file.tell()
        if kind == sound:
            there = size - here
            endless = length >= _ENDLESS and length > there
            if not long and (endless or (not length and not closed)):
                return Riff(here, None, there, frame, mpeg, pcm)
            return Riff(here, long or length, there, frame, mpeg, pcm)
        if kind == b"fmt ":
            frame, mpeg, pcm = _form(file.read(min(length, 26)), order, name)
        if kind == b"ds64":
            long = int.from_bytes(file.read(16)[8:], "little")
        file.seek(here + length + length % 2)
    raise AudioError(
        f"{name} must have at most {CHUNKS} chunks before its sound. Got more. Convert it again."
    )


def _form(fields: bytes, order: str, name: str) -> tuple[int | None, bool, Pcm | None]:
    """Bytes of a frame if fixed, whether it is MP3, and the format of PCM samples."""
    if len(fields) < 16:
        return None, False, None
    form, channels, rate, _, align, bits = struct.unpack(order + "HHIIHH", fields[:16])
    checked(rate, channels, name)
    if form == _EXTENSIBLE and len(fields) == 26:
        (form,) = struct.unpack(order + "H", fields[24:])
    frame = align if align and align == channels * bits // 8 else None
    encoding = wav_encoding(form, bits, little=order == "<") if frame else None
    return frame, form in _MPEG, Pcm(encoding, rate, channels) if encoding else None
