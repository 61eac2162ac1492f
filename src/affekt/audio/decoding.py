"""Decode recordings chunk by chunk into float32 frames at their own sample rate.

libsndfile is tried first: it seeks to any sample and is as fast as FFmpeg on PCM and FLAC. FFmpeg
reads all other formats, and also MP3 and CAF, whose errors libsndfile prints to the terminal, and
Ogg, of which libsndfile reads the first chained recording only.
"""

import io
import math
import os
import string
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from affekt.audio.headers import (
    Riff,
    checked,
    head_of,
    is_mpeg,
    is_recording,
    promised_size,
    riff_of,
)
from affekt.audio.pcm import Decoded, Pcm
from affekt.errors import AudioError

CHUNK = 1 << 18  # values decoded at a time, all channels together: 1 MiB
SLACK_BYTES = 1_024  # some writers count a few bytes too many
SLACK = 0.1  # s that a sound may end before its header says: codecs pad


@contextmanager
def decode(
    file: BinaryIO, name: str, *, start: float = 0.0, pcm: Pcm | None = None
) -> Iterator[Decoded]:
    """Open a recording of any format, or samples without a header.

    Args:
        file: binary; read from its first byte if it is seekable, else from its position.
        start: seconds; the chunks begin there if the format is seekable, else at 0.
        pcm: format of samples without a header; None refuses such samples.

    Raises:
        AudioError: not a sound, or a damaged one; also while the chunks are read.
    """
    seekable = is_seekable(file)
    opened: AbstractContextManager[Decoded]
    decoded = None
    try:
        if seekable:
            file.seek(0)
        head = head_of(file, name)
        if pcm and not is_recording(head):
            if not head.strip(string.printable.encode()):
                raise AudioError(f"{name} is text, not a sound. Give a recording, or samples.")
            checked(pcm.sample_rate, pcm.channels, name)
            opened = _from_pipe(_PipeReader(head, file), name, None, pcm)
        elif seekable:
            opened = _file(file, head, name, start)
        else:
            opened = _pipe(file, head, name)
        with opened as decoded:
            yield decoded
    except _faults() as error:
        fault = (
            "cannot be decoded" if decoded else "is not audio that libsndfile or FFmpeg can read"
        )
        remedy = "Convert it or copy it again" if seekable else "Save it to a file first"
        raise AudioError(f"{name} {fault} ({_reason(error)}). {remedy}.") from error


def is_seekable(file: Any) -> bool:
    """Return whether a file can seek; one without a method that says so cannot."""
    return bool(hasattr(file, "seekable") and file.seekable())


def truncated(name: str, seconds: float, promised: float) -> AudioError:
    """Build the error for a recording that is shorter than promised; both times in seconds."""
    return AudioError(
        f"{name} is truncated: its header promises {promised:.2f} s, only {seconds:.2f} s are "
        f"there ({promised - seconds:.2f} s missing). Copy or download it again."
    )


def _faults() -> tuple[type[Exception], ...]:
    """Exception types of the decoders, without loading FFmpeg, which is slow."""
    # None while another thread loads it
    fault = getattr(sys.modules.get("av"), "FFmpegError", None)
    return (soundfile.SoundFileError, OSError, *filter(None, [fault]))


def _reason(error: Exception) -> str:
    """The library's message without its prefixes."""
    text = getattr(error, "strerror", None) or getattr(error, "error_string", None) or error
    return str(text).removeprefix("Error : ").rstrip(".")


class _PipeReader:
    """A file that is not seekable, with the bytes already read put back in front."""

    def __init__(self, head: bytes, file: BinaryIO, size: int | None = None) -> None:
        self._head = head[:size]
        self._left = math.inf if size is None else size - len(self._head)
        self._read = getattr(file, "read1", file.read)  # what is there, without waiting for more
        self.fault: BaseException | None = None

    def read(self, size: int) -> bytes:
        if self.fault:
            return b""
        if self._head:
            part, self._head = self._head[:size], self._head[size:]
            return part
        try:
            part = self._read(int(min(size, self._left)))
        except BaseException as fault:  # Ctrl-C as well: FFmpeg would forget it and read on
            self.fault, part = fault, b""
        self._left -= len(part)
        return part


class _SndfileInput:
    """A seekable file for libsndfile that records read errors, which libsndfile would print.

    libsndfile reads a file on disk directly: callbacks into Python would be slow in threads.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._fault: OSError | None = None
        self.tell, self._file = file.tell, file
        self._on_disk = isinstance(getattr(file, "raw", None), io.FileIO)
        self.rewind()

    def open(self) -> soundfile.SoundFile | None:
        """Open with libsndfile; None, with the file rewound, if FFmpeg should read it."""
        with suppress(soundfile.SoundFileError):
            # a duplicate of the descriptor: some versions close files that they cannot read
            source = os.dup(self._file.fileno()) if self._on_disk else self
            sound = soundfile.SoundFile(source, closefd=True)
            if not (sound.subtype.startswith("MPEG") or sound.frames >= 1 << 62):  # FLAC of a pipe
                return sound
            sound.close()
        self.rewind()
        return None

    def rewind(self) -> None:
        """Seek to the first byte, also if libsndfile has moved the descriptor's position."""
        if self._on_disk:
            self._file.seek(0, io.SEEK_END)
        self._file.seek(0)

    @property
    def fault(self) -> OSError | None:
        """The error of a failed read, if there was one."""
        if self._on_disk and not self._file.closed:
            try:
                self._file.read(1)
            except OSError as error:
                return error
        return self._fault

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> None:
        with suppress(ValueError):  # a damaged header may point before the first byte
            self._file.seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        try:
            part = self._file.read(len(buffer))
        except OSError as error:
            self._fault = error
            return 0
        buffer[: len(part)] = part
        return len(part)


def _pipe(file: BinaryIO, head: bytes, name: str) -> AbstractContextManager[Decoded]:
    riff = riff_of(io.BytesIO(head), name)
    if riff and riff.pcm:  # with the header, FFmpeg would wait for seconds of sound
        piped = _PipeReader(head[riff.start :], file, riff.promised)
        return _from_pipe(piped, name, riff, riff.pcm)
    return _from_pipe(_PipeReader(head, file), name, riff)


@contextmanager
def _from_pipe(
    file: _PipeReader, name: str, riff: Riff | None, pcm: Pcm | None = None
) -> Iterator[Decoded]:
    """Open with FFmpeg, and raise errors of the pipe unchanged."""

    def until_fault(chunks: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        yield from chunks
        if file.fault:
            raise file.fault

    from affekt.audio.ffmpeg import from_ffmpeg

    try:
        with from_ffmpeg(file, name, riff, pcm=pcm, live=True) as decoded:
            yield replace(decoded, chunks=until_fault(decoded.chunks))
    except Exception:
        if file.fault:
            raise file.fault from None
        raise


def _file(file: BinaryIO, head: bytes, name: str, start: float) -> AbstractContextManager[Decoded]:
    riff = riff_of(file, name)
    promised, there = promised_size(head), file.seek(0, io.SEEK_END)
    file.seek(0)
    if promised > there + SLACK_BYTES:  # which no decoder would tell
        raise AudioError(
            f"{name} is truncated: its header promises {promised} bytes, only {there} are there. "
            f"Copy or download it again."
        )
    elsewhere = riff.mpeg or riff.promised is None if riff else is_mpeg(head)
    if not (elsewhere or head.startswith((b"OggS", b"caff"))):
        source = _SndfileInput(file)
        if sound := source.open():
            return _from_sndfile(sound, source, name, riff, start)
    from affekt.audio.ffmpeg import from_ffmpeg

    return from_ffmpeg(file, name, riff)


@contextmanager
def _from_sndfile(
    sound: soundfile.SoundFile, file: _SndfileInput, name: str, riff: Riff | None, start: float
) -> Iterator[Decoded]:
    try:
        with sound:
            rate, channels = checked(sound.samplerate, sound.channels, name)
            seconds = sound.frames / rate
            if riff and riff.promised and riff.there:
                promised = seconds * riff.promised / riff.there
                if promised > seconds + SLACK:
                    raise truncated(name, seconds, promised)
            first = round(start * rate)
            # some telephone codecs are not seekable: what is before the part is read, and left out
            seeks = first and first < sound.frames and sound.seekable()
            position = sound.seek(first) if seeks else 0
            chunks = _sndfile_chunks(sound, file, name)
            yield Decoded(name, rate, channels, sound.frames, position, chunks)
    finally:
        with suppress(ValueError):  # closed meanwhile
            file.rewind()


def _sndfile_chunks(
    sound: soundfile.SoundFile, file: _SndfileInput, name: str
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
