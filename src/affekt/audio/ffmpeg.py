"""Decode recordings with FFmpeg, and raw samples without a header.

FFmpeg gets bytes, never a name: so the suffix does not influence the format, and playlists cannot
open other files. It is slow to load, so this module is imported inside functions.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from affekt.audio.headers import MAX_PAGE, Riff, checked, missing_of_frame, missing_of_page
from affekt.audio.pcm import Decoded, Pcm, scaled, silent
from affekt.errors import AudioError

PARTS = 4  # chunks a second: frames of codecs have 5 to 60 ms, which is inefficient
PARTS_LIVE = 20
MOST_PLANES = 8  # PyAV reads beyond the addresses of further channels and crashes
#: A title in an unknown encoding must not hide the sound; PyAV 19 never lets it.
LENIENT: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
)
_PROMISING = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "ogg", "wav", "aiff", "flac"}
_PROMISING |= {"asf", "au", "tta"}
_CHECKSUMS = {"tta", "wavpack"}  # codecs that report every damaged packet on request
_FRAMED = {"aac", "ac3", "eac3"}  # formats of frames that state their size
#: Formats without an index: FFmpeg keeps all bytes up to the next frame in memory.
_UNINDEXED = {"mp3", "aac", "ac3", "eac3", "dts"}
MAX_OPENING = 64 << 20  # bytes to find the sound: a cover picture may stand before it
MAX_BETWEEN = 16 << 20  # bytes from one frame of a format without an index to the next
MAX_BESIDE = 256 << 20  # the same for other formats, which may hold a video


class _CountingReader:
    """A file that counts the bytes read, and ends after too many without a frame of sound."""

    def __init__(self, file: Any) -> None:
        self._file, self._count, self._limit = file, 0, MAX_OPENING
        self.last_bytes = b""  #: read so far: at the end, those of the file
        if hasattr(file, "seek"):
            self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        part: bytes = self._file.read(size) if self._count <= self._limit else b""
        self._count += len(part)
        self.last_bytes = (self.last_bytes + part)[-MAX_PAGE:]
        return part

    def restart(self, name: str, limit: int) -> None:
        """Count up to a new limit; raise an AudioError if the last one was passed."""
        if self._count > self._limit:
            raise AudioError(
                f"{name} must have at most {self._limit >> 20} MiB of other bytes before a frame "
                f"of sound. Got more. Cut them off or convert it."
            )
        self._count, self._limit = 0, limit


def open_container(file: Any, pcm: Pcm | None = None) -> InputContainer:
    """Open a file with FFmpeg, which may open no other one.

    Raises:
        av.FFmpegError: FFmpeg cannot read it.
    """
    options = {"protocol_whitelist": "none"}
    if pcm:
        options |= {"sample_rate": str(pcm.sample_rate), "ch_layout": f"{pcm.channels}C"}
    form = pcm.encoding if pcm else None
    container: InputContainer = av.open(
        file, "r", format=form, container_options=options, **LENIENT
    )
    return container


@contextmanager
def from_ffmpeg(
    file: Any, name: str, riff: Riff | None, *, pcm: Pcm | None = None, live: bool = False
) -> Iterator[Decoded]:
    """Open a recording, with the header ``riff`` of a WAV or AIFF, or ``pcm`` without a header.

    The file has a method ``read``; if it can ``seek``, FFmpeg may. Chunks have 250 ms, live 50 ms.

    Raises:
        AudioError: no sound in it, or a damaged one; also while the chunks are read.
        av.FFmpegError: FFmpeg cannot read it.
    """
    counted = _CountingReader(file)
    with open_container(counted, pcm) as container:
        if not container.streams.audio:
            raise AudioError(
                f"{name} has no audio track ({container.format.long_name}). Use an audio file."
            )
        limit = MAX_BETWEEN if container.format.name in _UNINDEXED else MAX_BESIDE
        counted.restart(name, limit)
        frames = _frames(container, name, counted, limit)
        first = next(frames, None)
        if first is None or (riff and riff.promised == 0):
            raise silent(name)
        rate, channels = checked(first.sample_rate, first.layout.nb_channels, name)
        if riff and riff.frame:  # PCM: of a pipe, FFmpeg does not give the length
            promised = riff.promised and riff.promised // riff.frame
        else:
            promised = _promise(container, rate)
        chunks = _chunks(chain([first], frames), rate, channels, name, live)
        yield Decoded(name, rate, channels, promised, 0, chunks)


def _promise(container: InputContainer, rate: int) -> int | None:
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


def _frames(
    container: InputContainer, name: str, file: _CountingReader, limit: int
) -> Iterator[av.AudioFrame]:
    """Decode the first sound track; one bad packet is ignored: MP3 may end in other bytes."""
    bad, stream = 0, container.streams.audio[0]
    checks = getattr(stream.codec_context, "name", "") in _CHECKSUMS  # unknown codecs have none
    form, missing = container.format.name, 0
    if checks:
        stream.codec_context.options = {"err_detect": "crccheck+explode"}
    for packet in container.demux(stream):
        file.restart(name, limit)
        if packet.size and form in _FRAMED:
            missing = missing_of_frame(bytes(packet))
        try:
            yield from packet.decode()
        except av.InvalidDataError as error:
            bad += 1
            if bad > 1 or checks:
                raise AudioError(
                    f"{name} is damaged: {bad} of its packets cannot be decoded. Copy it again."
                ) from error
    if form == "ogg":
        missing = missing_of_page(file.last_bytes)
    if missing:
        raise AudioError(
            f"{name} is truncated: it ends within a frame. Missing bytes: {missing}. "
            f"Copy or download it again."
        )


def _chunks(
    frames: Iterator[av.AudioFrame], rate: int, channels: int, name: str, live: bool
) -> Iterator[NDArray[np.float32]]:
    parts = PARTS_LIVE if live else PARTS
    gathered: list[NDArray[np.float32]] = []
    for frame in frames:
        if (frame.sample_rate, frame.layout.nb_channels) != (rate, channels):
            raise AudioError(
                f"{name} must keep its sample rate and number of channels. Got {rate} Hz x "
                f"{channels}, then {frame.sample_rate} Hz x {frame.layout.nb_channels}. Split it "
                f"where they change."
            )
        packed = frame.format.is_packed
        if channels > MOST_PLANES and not packed:
            raise AudioError(
                f"{name} must have at most {MOST_PLANES} channels in this format. Got {channels}. "
                f"Convert it to WAV."
            )
        try:
            values = frame.to_ndarray()
        except ValueError as error:  # of the formats that FFmpeg decodes to, NumPy lacks one
            raise AudioError(
                f"{name} has samples of an unsupported format ({frame.format.name}). "
                f"Convert it to FLAC."
            ) from error
        gathered.append(scaled(values.reshape(-1, channels) if packed else values.T))
        if sum(map(len, gathered)) * parts >= rate:
            yield np.concatenate(gathered)
            gathered.clear()
    if gathered:
        yield np.concatenate(gathered)
