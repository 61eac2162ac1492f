"""Recordings to frames: (frames, channels) float32 at the recording's own rate, chunk by chunk.

libsndfile reads first: it is as quick as FFmpeg on PCM and FLAC, jumps to any sample, and says
plainly what it cannot read. FFmpeg reads the rest: what libsndfile refuses, what cannot seek, and
MP3, on whose faults libsndfile's decoder prints to the terminal. FFmpeg is given bytes, never a
name: no suffix steers its guess, and no playlist makes it open anything else.
"""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO

import av
import numpy as np
import soundfile
from av.container import InputContainer
from numpy.typing import NDArray

from affekt.errors import AudioError

CHUNK = 1 << 18  # values decoded at a time, all channels together: 1 MiB
SLACK = 0.1  # s that a sound may end before its header says
RATES = (1_000, 768_000)  # Hz: below no speech is left, above there are no converters
CHANNELS = 256  # at most
_HEAD = 4_096  # bytes that tell what a file is
_PRIMING = 4_096  # frames that a codec may add to its container's duration
_ENDLESS = 0x7FFF_0000  # bytes; a WAV that claims more than this and has less was piped
_PROMISING = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "wav", "aiff", "flac"}  # FFmpeg's names
_RIFF = {
    b"RIFF": ("<", b"data"),
    b"RF64": ("<", b"data"),
    b"RIFX": (">", b"data"),
    b"FORM": (">", b"SSND"),
}


@dataclass(frozen=True)
class Decoded:
    """An open recording: what its header says, and its sound."""

    sample_rate: int
    """Hz"""
    channels: int
    frames: int | None
    """As the header promises; None if it says nothing, as in a live recording."""
    position: int
    """Frame at which ``chunks`` begins."""
    chunks: Iterator[NDArray[np.float32]]
    """``(frames, channels)`` each, in order."""


@contextmanager
def decode(file: BinaryIO, name: str, *, start: float = 0.0) -> Iterator[Decoded]:
    """Open a recording of any format.

    Args:
        file: binary, at its first byte; seekable or not.
        name: what messages call it.
        start: seconds; the chunks begin there if the format can jump, else at 0.

    Yields:
        The open recording.

    Raises:
        AudioError: not a sound, or a damaged one; also while the chunks are read.
    """
    try:
        seekable = file.seekable()
        head = file.read(_HEAD)
        _refuse(head, name)
        if seekable:
            file.seek(0)
            riff = _riff_bytes(file)
            file.seek(0)
        else:
            riff = _riff_bytes(io.BytesIO(head))
            file = _Piped(head, file)  # type: ignore[assignment]
        piped = not seekable or riff == (None, None)
        sound = None if piped or _is_mpeg(head) else _sndfile(file)
        opened = (
            _from_sndfile(sound, riff, name, start)
            if sound
            else _from_ffmpeg(file, name, promising=riff != (None, None))
        )
        with opened as decoded:
            yield decoded
    except (av.FFmpegError, soundfile.SoundFileError, OSError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "error_string", error)
        raise AudioError(f"{name} cannot be decoded: {reason}. Record or copy it again.") from error


def scaled(values: NDArray[Any]) -> NDArray[np.float32]:
    """Samples of any width as float32: integers to [-1, 1], floats as they are.

    >>> scaled(np.array([0, 64, 128, 255], np.uint8)).tolist()
    [-1.0, -0.5, 0.0, 0.9921875]
    """
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return values.astype(np.float32, copy=False)
    half = 2.0 ** (8 * values.dtype.itemsize - 1)
    zero = half if values.dtype.kind == "u" else 0.0
    return ((values.astype(np.float64) - zero) / half).astype(np.float32)


def truncated(name: str, seconds: float, promised: float) -> AudioError:
    """The error of a recording that ends too early; both times in seconds."""
    return AudioError(
        f"{name} is truncated: its header promises {promised:.2f} s, only {seconds:.2f} s are "
        f"there ({promised - seconds:.2f} s missing). Copy or download it again."
    )


class _Piped(io.RawIOBase):
    """What cannot seek, with the bytes already read put back in front."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head, self._file = head, file

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._head:
            part, self._head = self._head[:size], self._head[size:]
            return part
        return self._file.read(size)


def _refuse(head: bytes, name: str) -> None:
    """Say plainly what is certainly no sound, before a decoder guesses."""
    if not isinstance(head, bytes):
        raise AudioError(f"{name} is open as text. Open it with mode 'rb'.")
    if not head:
        raise AudioError(f"{name} is empty (0 bytes). Record or copy it again.")
    if head.startswith(b"version https://git-lfs"):
        raise AudioError(f"{name} is a git-lfs pointer, not the sound. Fetch it with: git lfs pull")
    if head.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise AudioError(f"{name} is a web page, not a sound. Download the recording itself.")


def _is_mpeg(head: bytes) -> bool:
    return head.startswith(b"ID3") or (head[0] == 0xFF and head[1:2] >= b"\xe0")


def _riff_bytes(file: BinaryIO) -> tuple[int | None, int | None] | None:
    """Bytes of sound that a WAV or AIFF promises, and that are there.

    Returns:
        None if it is neither; (None, None) if it was written to a pipe and promises nothing.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if len(head) < 12 or head[:4] not in _RIFF:
        return None
    order, wanted = _RIFF[head[:4]]
    closed = struct.unpack(order + "I", head[4:8])[0] == size - 8
    long = 0
    while len(chunk := file.read(8)) == 8:
        length = struct.unpack(order + "I", chunk[4:])[0]
        here = file.tell()
        if chunk[:4] == b"ds64":
            long = struct.unpack("<Q", file.read(16)[8:].ljust(8, b"\0"))[0]
        if chunk[:4] == wanted:
            length = long or length
            there = size - here
            endless = length >= _ENDLESS and length > there and not long
            return (None, None) if endless or (not length and not closed) else (length, there)
        file.seek(here + length + length % 2)
    return None


def _sndfile(file: BinaryIO) -> soundfile.SoundFile | None:
    try:
        return soundfile.SoundFile(file)
    except soundfile.SoundFileError:
        file.seek(0)
        return None


@contextmanager
def _from_sndfile(
    sound: soundfile.SoundFile,
    riff: tuple[int | None, int | None] | None,
    name: str,
    start: float,
) -> Iterator[Decoded]:
    with sound:
        rate, channels = checked(sound.samplerate, sound.channels, name)
        frames = sound.frames if 0 < sound.frames < 1 << 62 else None
        if frames and riff and riff[0] and riff[1]:
            promised = frames * riff[0] / riff[1] / rate
            if promised > frames / rate + SLACK:
                raise truncated(name, frames / rate, promised)
        first = round(start * rate)
        # Vorbis and Opus decode a little differently after a jump
        jump = frames is not None and first < frames and sound.format != "OGG"
        position = sound.seek(first) if jump and first else 0
        yield Decoded(rate, channels, frames, position, _sndfile_chunks(sound))


def _sndfile_chunks(sound: soundfile.SoundFile) -> Iterator[NDArray[np.float32]]:
    frames = CHUNK // sound.channels
    while len(chunk := sound.read(frames, dtype="float32", always_2d=True)):
        yield chunk


@contextmanager
def _from_ffmpeg(file: BinaryIO, name: str, *, promising: bool) -> Iterator[Decoded]:
    with av.open(
        file,
        "r",
        container_options={"protocol_whitelist": "none"},
        metadata_errors="replace",  # a title in an unknown encoding must not hide the sound
    ) as container:
        if not container.streams.audio:
            raise AudioError(f"{name} holds no sound ({container.format.long_name}). Give a sound.")
        frames = _ffmpeg_frames(container, name)
        first = next(frames, None)
        if first is None:
            raise AudioError(f"{name} holds no sound: not one sample. Record or copy it again.")
        rate, channels = checked(first.sample_rate, first.layout.nb_channels, name)
        seconds = _ffmpeg_seconds(container) if promising else None
        chunks = _ffmpeg_chunks(chain([first], frames), rate, channels, name)
        yield Decoded(rate, channels, None if seconds is None else round(seconds * rate), 0, chunks)


def _ffmpeg_seconds(container: InputContainer) -> float | None:
    """What the container promises, less what a codec may pad; None where FFmpeg only guesses."""
    stream = container.streams.audio[0]
    if container.format.name not in _PROMISING:
        return None
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / 1e6
    return None


def _ffmpeg_frames(container: InputContainer, name: str) -> Iterator[av.AudioFrame]:
    """Decode the first sound track; one bad packet is forgiven, as MP3 often ends in junk."""
    bad = 0
    for packet in container.demux(container.streams.audio[0]):
        try:
            yield from packet.decode()
        except av.InvalidDataError as error:
            bad += 1
            if bad > 1:
                raise AudioError(
                    f"{name} is damaged: {bad} of its packets cannot be decoded. Copy it again."
                ) from error


def _ffmpeg_chunks(
    frames: Iterator[av.AudioFrame], rate: int, channels: int, name: str
) -> Iterator[NDArray[np.float32]]:
    for frame in frames:
        if (frame.sample_rate, frame.layout.nb_channels) != (rate, channels):
            raise AudioError(
                f"{name} changes from {rate} Hz, {channels} channels to {frame.sample_rate} Hz, "
                f"{frame.layout.nb_channels} channels on its way. Split it there."
            )
        values = frame.to_ndarray()
        yield scaled(values.reshape(-1, channels) if frame.format.is_packed else values.T)


def checked(rate: int, channels: int, name: str) -> tuple[int, int]:
    """Refuse what no recorder writes, before it costs memory."""
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
