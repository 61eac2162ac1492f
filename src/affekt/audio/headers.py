"""Parse the first bytes of a recording, and check its header before it is decoded."""

import io
import struct
from dataclasses import dataclass
from itertools import accumulate
from numbers import Real
from typing import Any, BinaryIO

from affekt.audio.pcm import Pcm, empty, wav_encoding
from affekt.errors import AudioError

RATES = (1_000, 768_000)  # Hz: speech needs the lower limit; no converter exceeds the upper
CHANNELS = 256  # at most
MAX_VALUES = 256 * 16_000  # samples a second of all channels together, at most
CHUNKS = 10_000  # before the sound of a WAV; recorders write a few dozen at most
_HEAD = 4_096  # bytes that identify a file
_ENDLESS = 0x7FFF_0000  # bytes; a header with a larger size than the file was written to a pipe
_MPEG = {0x50, 0x55}  # WAV's numbers for MPEG audio
_EXTENSIBLE = 0xFFFE  # the format number is in the extension
# First bytes of formats that libsndfile and FFmpeg read; raw speech never begins like this.
_NAMES = b"fLaC OggS caff ID3 riff .snd NIST_1A MATLAB #!AMR wvpk TTA1 FLV".split()
_FIRST_BYTES = (*_NAMES, b"\x1aE\xdf\xa3", b"0&\xb2u")  # the last two: Matroska, Windows Media
_PACKET = 188  # bytes of an MPEG transport stream, of which the first is a G
_AC3 = b"\x0bw"  # the sync word of AC-3 and E-AC-3
_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free"}  # one is first in MP4 and QuickTime
_W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")  # first bytes of Sony's Wave64
MAX_PAGE = 65_307  # bytes of a page of an Ogg, at most
# kbit/s
_AC3_RATES = (*range(32, 64, 8), *range(64, 128, 16), *range(128, 256, 32), *range(256, 641, 64))
_ORDERS = {  # byte order, and the chunk that holds the sound
    b"RIFF": ("<", b"data"),
    b"RF64": ("<", b"data"),
    b"RIFX": (">", b"data"),
    b"FORM": (">", b"SSND"),
}


@dataclass(frozen=True)
class Riff:
    """Position, promised size and actual size of the sound in a WAV or AIFF, in bytes."""

    start: int
    promised: int | None  #: None if it was written to a pipe, without a size
    there: int
    frame: int | None  #: of one sample of all channels; None if variable or unknown
    mpeg: bool  #: whether it contains MP3
    pcm: Pcm | None  #: format of PCM samples; None for other codings


def head_of(file: BinaryIO, name: str) -> bytes:
    """Read the first bytes of a recording, and refuse known other content.

    Raises:
        AudioError: nothing, text, a git-lfs pointer, or a web page.
    """
    if isinstance(file, io.TextIOBase) or not isinstance(head := file.read(_HEAD), bytes):
        raise AudioError(f"{name} is open as text. Open it with mode 'rb'.")
    while len(head) < _HEAD and (more := file.read(_HEAD - len(head))):
        head += more  # a pipe gives what it has
    if not head:
        raise empty(name)
    if head.startswith(b"version https://git-lfs"):
        raise AudioError(f"{name} is a git-lfs pointer, not the sound. Fetch it with: git lfs pull")
    if head.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise AudioError(f"{name} is a web page, not a sound. Download the recording itself.")
    return head


def is_recording(head: bytes) -> bool:
    """Return whether first bytes are of a known format, not samples without a header.

    MPEG audio and AC-3 must have further frames, since a sample may equal their first bytes.

    >>> is_recording(b"fLaC"), is_recording(bytes([0xFF, 0xFB, 0x90, 0]))
    (True, False)
    >>> is_recording(4 * (b"G" + bytes(187))), is_recording(bytes.fromhex("7ffe8001fc3c3df0"))
    (True, True)

    Source of the frame of DTS: ETSI TS 102 114, 5.3.
    """
    if head.startswith(_AC3) and (size := _frame_size(head)):
        return _AC3.startswith(head[size : size + len(_AC3)])  # the next frame, if it is in there
    if int.from_bytes(head[:6]) & 0xFFFF_FFFF_FC1C == 0x7FFE_8001_FC1C:  # a normal frame of DTS
        return True
    if head[: 4 * _PACKET : _PACKET] == b"GGGG":  # MPEG transport stream
        return True
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


def is_mpeg(head: bytes) -> bool:
    """Return whether bytes begin like an MP3.

    >>> is_mpeg(b"ID3"), is_mpeg(bytes([0xFF, 0xFB])), is_mpeg(b"RIFF")
    (True, True, False)
    """
    return head.startswith(b"ID3") or (head[0] == 0xFF and head[1:2] >= b"\xe0")


def checked(rate: Any, channels: int, name: str) -> tuple[int, int]:
    """Return the sample rate and the number of channels.

    Raises:
        AudioError: one of them, or their product, is out of range, or the rate is not whole.
    """
    whole = isinstance(rate, Real) and rate % 1 == 0  # NaN is not
    if not (whole and RATES[0] <= rate <= RATES[1]):
        raise AudioError(
            f"sample rate of {name} must be a whole number of Hz in [{RATES[0]}, {RATES[1]}]. "
            f"Got {rate!r}. Pass that of the samples, or record or convert it again."
        )
    if not 1 <= channels <= CHANNELS:
        remedy = "Convert it to mono" if channels else "Record or copy it again"
        raise AudioError(f"{name} must have 1 to {CHANNELS} channels. Got {channels}. {remedy}.")
    rate = int(rate)
    if rate * channels > MAX_VALUES:
        raise AudioError(
            f"{name} must have at most {MAX_VALUES} samples a second in all channels together. "
            f"Got {channels} channels of {rate} Hz. Convert it to 16 kHz."
        )
    return rate, channels


def promised_size(head: bytes) -> int:
    r"""Bytes that a W64, AU, CAF or AVI promises to have at least; 0 if it does not say.

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
    return promised if promised < _ENDLESS else 0


def _caf_size(head: bytes) -> int:
    """Find the end of a CAF's sound, if its chunk starts in the first bytes and has a length."""
    at = 8
    while len(start := head[at : at + 12]) == 12:
        length = int.from_bytes(start[4:], "big", signed=True)
        at += 12 + max(length, 0)
        if start[:4] == b"data":
            return at if length > 0 else 0
    return 0


def missing_of_page(tail: bytes) -> int:
    """Bytes of its last page that an Ogg lacks, at least, given its last :data:`MAX_PAGE` bytes.

    Source: RFC 3533, section 6.
    """
    page = tail[max(tail.rfind(b"OggS"), 0) :]
    if not page.startswith(b"OggS"):
        return 0
    lengths = page[27 : 27 + page[26]] if len(page) > 26 else b""
    whole = 28 if len(page) < 28 else 27 + page[26] + sum(lengths)
    return max(whole - len(page), lengths[-1:] == b"\xff")  # 255: a packet goes on


def missing_of_frame(frame: bytes) -> int:
    """Bytes that a frame of AAC, AC-3 or E-AC-3 lacks; 0 if it is whole or not known.

    >>> missing_of_frame(bytes.fromhex("fff1 6c40 0480 1c"))
    29

    Source: ISO/IEC 13818-7, 6.2; ETSI TS 102 366, 4.4.1 and E.1.3.
    """
    return max(_frame_size(frame) - len(frame), 0)


def _frame_size(frame: bytes) -> int:
    """Bytes that a frame of AAC, AC-3 or E-AC-3 states to have; 0 if it is none of them."""
    if len(frame) < 7:
        return 0
    if frame[0] == 0xFF and frame[1] & 0xF6 == 0xF0:
        return (frame[3] & 3) << 11 | frame[4] << 3 | frame[5] >> 5
    rate, step, version = frame[4] >> 6, frame[4] & 63, frame[5] >> 3
    if not frame.startswith(_AC3) or version > 16:
        return 0
    if version > 10:  # E-AC-3
        return 2 * ((frame[2] & 7) << 8 | frame[3]) + 2
    if rate > 2 or step >= 2 * len(_AC3_RATES):
        return 0
    words: int = 96_000 * _AC3_RATES[step // 2] // (48_000, 44_100, 32_000)[rate]
    return 2 * (words + (step & 1 if rate == 1 else 0))


def riff_of(file: BinaryIO, name: str) -> Riff | None:
    """Read the chunks of a seekable WAV or AIFF up to its sound; None if it is neither.

    Raises:
        AudioError: sample rate or number of channels out of range, or too many chunks.

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
            return None  # not a chunk: after a power cut, gigabytes of zeros may follow
        here = file.tell()
        if kind == sound:
            there = size - here
            endless = (length >= _ENDLESS and length > there) or not (length or closed)
            promised = None if endless and not long else long or length
            return Riff(here, promised, there, frame, mpeg, pcm)
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
