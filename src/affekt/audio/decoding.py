"""Recordings to frames: (frames, channels) float32 at the recording's own rate, chunk by chunk.

libsndfile reads first: it is as quick as FFmpeg on PCM and FLAC, jumps to any sample, and says
plainly what it cannot read. FFmpeg reads the rest, and three things that libsndfile also could: MP3
and CAF, on whose faults libsndfile prints to the terminal, and Ogg, of whose chained recordings
libsndfile gives the first only. FFmpeg is given bytes, never a name: no suffix steers its guess,
and no playlist makes it open anything else.
"""

import io
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from affekt.audio.headers import Riff, checked, head_of, is_mpeg, riff_of
from affekt.errors import AudioError

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

CHUNK = 1 << 18  # values decoded at a time, all channels together: 1 MiB
SLACK = 0.1  # s that a sound may end before its header says: codecs pad
_GATHERED = 4  # chunks of a second: codecs give 5 to 60 ms, too little to work on one by one
_PROMISING = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "ogg", "wav", "aiff", "flac"}


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
        file: binary; read from its first byte if it can seek, else from where it is.
        name: what messages call it.
        start: seconds; the chunks begin there if the format can jump, else at 0.

    Yields:
        The open recording.

    Raises:
        AudioError: not a sound, or a damaged one; also while the chunks are read.
    """
    seekable = hasattr(file, "seekable") and file.seekable()
    decoded = None
    try:
        with _opened(file, name, start) if seekable else _opened_pipe(file, name) as decoded:
            yield decoded
    except _faults() as error:
        fault = "cannot be decoded" if decoded else "is no sound that libsndfile or FFmpeg reads"
        remedy = "Convert it or copy it again" if seekable else "Save it to a file first"
        raise AudioError(f"{name} {fault} ({_reason(error)}). {remedy}.") from error


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


def silent(name: str) -> AudioError:
    """The error of a recording in which there is nothing."""
    return AudioError(f"{name} holds no sound: not one sample. Record or copy it again.")


def truncated(name: str, seconds: float, promised: float) -> AudioError:
    """The error of a recording that ends too early; both times in seconds."""
    return AudioError(
        f"{name} is truncated: its header promises {promised:.2f} s, only {seconds:.2f} s are "
        f"there ({promised - seconds:.2f} s missing). Copy or download it again."
    )


def _faults() -> tuple[type[Exception], ...]:
    """What the decoders raise; FFmpeg, slow to load as NumPy is, only if it was needed."""
    ffmpeg = (sys.modules["av"].FFmpegError,) if "av" in sys.modules else ()
    return soundfile.SoundFileError, OSError, *ffmpeg


def _reason(error: Exception) -> str:
    """What the library says, without its own prefixes."""
    text = getattr(error, "strerror", None) or getattr(error, "error_string", None) or str(error)
    return str(text).removeprefix("Error : ").rstrip(".")


class _Piped:
    """What cannot seek, with the bytes already read put back in front."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head, self._file = head, file

    def read(self, size: int) -> bytes:
        if self._head:
            part, self._head = self._head[:size], self._head[size:]
            return part
        return self._file.read(size)


class _Watched:
    """A file whose faults are kept: on their way through libsndfile they would be printed."""

    def __init__(self, file: BinaryIO) -> None:
        self.fault: OSError | None = None
        self.tell, self._file = file.tell, file

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> None:
        with suppress(ValueError):  # a damaged header may point before the first byte
            self._file.seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        try:
            part = self._file.read(len(buffer))
        except OSError as error:
            self.fault = error
            return 0
        buffer[: len(part)] = part
        return len(part)


def _opened_pipe(file: BinaryIO, name: str) -> AbstractContextManager[Decoded]:
    head = head_of(file, name)
    return _from_ffmpeg(_Piped(head, file), name, riff_of(io.BytesIO(head), name))


def _opened(file: BinaryIO, name: str, start: float) -> AbstractContextManager[Decoded]:
    file.seek(0)
    head = head_of(file, name)
    riff = riff_of(file, name)
    file.seek(0)
    elsewhere = riff.mpeg or riff.promised is None if riff else is_mpeg(head)
    if not (elsewhere or head.startswith((b"OggS", b"caff"))):
        watched = _Watched(file)
        if sound := _sndfile(watched):
            return _from_sndfile(sound, watched, name, riff, start)
        file.seek(0)
    return _from_ffmpeg(file, name, riff)


def _sndfile(file: _Watched) -> soundfile.SoundFile | None:
    """Open with libsndfile; None where FFmpeg should try."""
    try:
        sound = soundfile.SoundFile(file)
    except soundfile.SoundFileError:
        return None
    if sound.subtype.startswith("MPEG") or sound.frames >= 1 << 62:  # FLAC from a pipe
        sound.close()
        return None
    return sound


@contextmanager
def _from_sndfile(
    sound: soundfile.SoundFile, file: _Watched, name: str, riff: Riff | None, start: float
) -> Iterator[Decoded]:
    with sound:
        rate, channels = checked(sound.samplerate, sound.channels, name)
        seconds = sound.frames / rate
        if riff and riff.promised and riff.there:
            promised = seconds * riff.promised / riff.there
            if promised > seconds + SLACK:
                raise truncated(name, seconds, promised)
        first = round(start * rate)
        position = sound.seek(first) if first < sound.frames else 0
        yield Decoded(rate, channels, sound.frames, position, _sndfile_chunks(sound, file, name))


def _sndfile_chunks(
    sound: soundfile.SoundFile, file: _Watched, name: str
) -> Iterator[NDArray[np.float32]]:
    frames = CHUNK // sound.channels
    try:
        while len(chunk := sound.read(frames, dtype="float32", always_2d=True)):
            yield chunk
    except soundfile.SoundFileError as error:
        raise file.fault or AudioError(
            f"{name} is damaged or truncated ({_reason(error)}) before its promised end at "
            f"{sound.frames / sound.samplerate:.2f} s. Copy or download it again."
        ) from error
    if file.fault:
        raise file.fault


@contextmanager
def _from_ffmpeg(file: BinaryIO | _Piped, name: str, riff: Riff | None) -> Iterator[Decoded]:
    import av

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
        if first is None or (riff and riff.promised == 0):
            raise silent(name)
        rate, channels = checked(first.sample_rate, first.layout.nb_channels, name)
        if riff and riff.frame:  # PCM, for which FFmpeg keeps quiet about a pipe's length
            promised = riff.promised and riff.promised // riff.frame
        else:
            promised = _ffmpeg_promise(container, rate)
        chunks = _ffmpeg_chunks(chain([first], frames), rate, channels, name)
        yield Decoded(rate, channels, promised, 0, chunks)


def _ffmpeg_promise(container: "InputContainer", rate: int) -> int | None:
    """Frames that the container promises; None where FFmpeg only guesses."""
    stream = container.streams.audio[0]
    # FFmpeg guesses an MP3's length from its size, unless a tag gives length and start
    sure = container.format.name in _PROMISING or (
        container.format.name == "mp3" and stream.start_time
    )
    if sure and stream.duration is not None and stream.time_base is not None:
        return round(stream.duration * stream.time_base * rate)
    if sure and container.duration is not None and len(container.streams) == 1:
        return round(container.duration / 1e6 * rate)
    return None


def _ffmpeg_frames(container: "InputContainer", name: str) -> Iterator["av.AudioFrame"]:
    """Decode the first sound track; one bad packet is forgiven, as MP3 often ends in junk."""
    import av

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
    frames: Iterator["av.AudioFrame"], rate: int, channels: int, name: str
) -> Iterator[NDArray[np.float32]]:
    gathered: list[NDArray[np.float32]] = []
    for frame in frames:
        if (frame.sample_rate, frame.layout.nb_channels) != (rate, channels):
            raise AudioError(
                f"{name} changes from {rate} Hz, {channels} channels to {frame.sample_rate} Hz, "
                f"{frame.layout.nb_channels} channels on its way. Split it there."
            )
        try:
            values = frame.to_ndarray()
        except ValueError as error:  # of the formats that FFmpeg decodes to, NumPy lacks one
            raise AudioError(
                f"{name} holds samples of a rare kind ({frame.format.name}). Convert it to FLAC."
            ) from error
        packed = frame.format.is_packed
        gathered.append(scaled(values.reshape(-1, channels) if packed else values.T))
        if sum(map(len, gathered)) * _GATHERED >= rate:
            yield np.concatenate(gathered)
            gathered.clear()
    if gathered:
        yield np.concatenate(gathered)
