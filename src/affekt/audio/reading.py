"""Read audio files of any format into 16 kHz mono arrays.

libsndfile or FFmpeg decodes and soxr's high quality filter resamples, block by block in constant
memory. Every fault of a recording is an AudioError with its name and a remedy.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real
from typing import Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from affekt.audio.decoding import SLACK, truncated
from affekt.audio.pcm import LOUDEST, Decoded, silent, without_denormals
from affekt.audio.resampling import resampled
from affekt.audio.sources import Source, open_source
from affekt.errors import AudioError

MAX_SECONDS = 4 * 3600.0  # s: 0.9 GB once decoded
LATEST = 1e12  # s: no sound is longer
FULL_VALUES = 192_000  # a second, all channels together: with more, less than MAX_SECONDS are read
Channel = int | Literal["each"] | None


@dataclass(frozen=True)
class Sound:
    """Properties of a recording from its header."""

    sample_rate: int  #: Hz
    channels: int
    seconds: float


class Span(TypedDict, total=False):
    """Which part of a recording to read; see :func:`read`."""

    sample_rate: int | None
    start: float
    end: float | None


def read(
    source: Source,
    *,
    sample_rate: int | None = None,
    channel: int | None = None,
    start: float = 0.0,
    end: float | None = None,
    max_seconds: float = MAX_SECONDS,
) -> NDArray[np.float32]:
    """Read a recording, or a part of it, as mono sound at 16 kHz.

    Args:
        source: path, or location such as ``s3://bucket/a.wav``; bytes of a file; binary file
            object (read from its first byte if it can seek, and left open); array ``(samples,)``
            or ``(samples, channels)``, of integers (scaled to [-1, 1] by their width) or of
            floats (kept as they are); PyTorch tensor ``(samples,)`` or ``(channels, samples)``;
            Hugging Face's ``{"array": ..., "sampling_rate": ...}``; a decoder of torchcodec; or an
            open sound, such as :func:`~affekt.audio.microphone.microphone`.
        sample_rate: Hz of an array or tensor; a file states its rate in its header.
        channel: channel to read, from 0; None for the mean of all.
        start: seconds, start of the part.
        end: seconds, end of the part; None for the end of the recording.
        max_seconds: a longer part is refused, and in proportion a shorter one of more than 192,000
            samples a second in all channels together.

    Returns:
        ``(samples,)`` at 16 kHz, at least one; beyond [-1, 1] only if a float file is.

    Raises:
        AudioError: missing, unreadable, damaged, truncated, empty, too long, or not a sound.

    >>> read(np.zeros((8_000, 2), np.int16), sample_rate=8_000).shape
    (16000,)
    """
    span = Span(sample_rate=sample_rate, start=start, end=end)
    return np.concatenate([*blocks(source, channel=channel, max_seconds=max_seconds, **span)])


def blocks(
    source: Source,
    *,
    channel: int | None = None,
    max_seconds: float = MAX_SECONDS,
    **span: Unpack[Span],
) -> Iterator[NDArray[np.float32]]:
    """Read as :func:`read` does, block by block in constant memory.

    Yields ``(samples,)`` of various lengths, none empty. A fault late in the recording comes after
    its first blocks.
    """
    if isinstance(channel, str):
        raise AudioError(
            f"channel must be a number from 0, or None for the mean of all. Got {channel}. Name "
            f"one channel, or ask for a timeline."
        )
    for block in channel_blocks(source, channel=channel, max_seconds=max_seconds, **span):
        yield block[:, 0]


def channel_blocks(
    source: Source,
    *,
    channel: Channel = "each",
    sample_rate: int | None = None,
    start: float = 0.0,
    end: float | None = None,
    max_seconds: float = MAX_SECONDS,
) -> Iterator[NDArray[np.float32]]:
    """Read all channels in one decoding, block by block in constant memory.

    A channel, or None for the mean of all, gives one column. The other arguments and the errors
    are those of :func:`blocks`.

    Yields:
        ``(samples, channels)`` arrays at 16 kHz, none empty; column ``n`` joined is what
        :func:`read` returns for ``channel=n``.
    """
    _check_part(start, end, max_seconds)
    with open_source(source, sample_rate, start) as sound:
        if channel not in (None, "each", *range(sound.channels)):
            raise AudioError(
                f"channel of {sound.name} must be in [0, {sound.channels - 1}]. Got {channel}. "
                f"Leave it out for the mean of all channels."
            )
        part = _part(sound, start, end, max_seconds)
        pieces = part if channel == "each" else (_column(piece, channel) for piece in part)
        width, block = sound.channels if channel == "each" else 1, None
        for block in resampled(_checked(pieces, sound), sound.sample_rate, width):
            yield block
        if block is None:
            raise AudioError(
                f"{sound.name} is shorter than one sample at 16 kHz. Ask for a longer part."
            )


def probe(source: Source, *, sample_rate: int | None = None) -> Sound:
    """Read a recording's header; decode the recording only if the length is missing.

    Arguments and errors are those of :func:`read`.

    >>> probe(np.zeros(8_000), sample_rate=16_000)
    Sound(sample_rate=16000, channels=1, seconds=0.5)
    """
    with open_source(source, sample_rate, 0.0) as sound:
        frames = sound.frames or sum(map(len, sound.chunks))
        if not frames:
            raise silent(sound.name)
        return Sound(sound.sample_rate, sound.channels, frames / sound.sample_rate)


def _check_part(start: float, end: float | None, max_seconds: float) -> None:
    if not (isinstance(start, Real) and 0 <= start <= LATEST):
        raise AudioError(
            f"start must be seconds, at least 0, at most {LATEST:g}. Got {start!r}. Use 0 for all "
            f"of the file."
        )
    if end is not None and not (isinstance(end, Real) and start < end <= LATEST):
        raise AudioError(
            f"end must be seconds after start ({start}), at most {LATEST:g}. Got {end!r}. "
            f"Leave it out for the end of the recording."
        )
    if not (isinstance(max_seconds, Real) and 0 < max_seconds <= LATEST):
        raise AudioError(
            f"max_seconds must be seconds above 0, at most {LATEST:g}. Got {max_seconds!r}. Leave "
            f"it out for 4 hours."
        )


def _part(
    sound: Decoded, start: float, end: float | None, max_seconds: float
) -> Iterator[NDArray[np.float32]]:
    rate, at = sound.sample_rate, sound.position
    patience = max(max_seconds, MAX_SECONDS)
    max_seconds *= min(1.0, FULL_VALUES / (rate * sound.channels))
    first = round(start * rate)
    last = math.inf if end is None else round(end * rate)
    allowed = first + round(max_seconds * rate)
    if min(sound.frames or 0, last) > allowed:
        raise _too_long(sound, max_seconds)
    for chunk in _in_time(sound, patience):
        piece = chunk[max(0, first - at) : int(min(len(chunk), max(0, last - at)))]
        at += len(chunk)
        if len(piece):
            if min(at, last) > allowed:
                raise _too_long(sound, max_seconds)
            yield piece
        if at >= last:
            return
    seconds = at / rate
    if not at:
        raise silent(sound.name)
    if sound.frames and at < sound.frames - SLACK * rate:
        raise truncated(sound.name, seconds, sound.frames / rate)
    if at <= first or (end is not None and end > seconds + SLACK):
        raise AudioError(
            f"{sound.name} is {seconds:.2f} s long; the part asked for is {start} s to "
            f"{'its end' if end is None else f'{end} s'}. Ask for a part inside it."
        )


def _in_time(sound: Decoded, patience: float) -> Iterator[NDArray[np.float32]]:
    """Pass on chunks until the waits for them are longer than so many seconds together."""
    waited = 0.0
    while waited <= patience:
        began = time.monotonic()
        chunk = next(sound.chunks, None)
        waited += time.monotonic() - began
        if chunk is None:
            return
        yield chunk
    raise AudioError(
        f"{sound.name} must come within {patience:g} s. Got a part by then. Save it to a file "
        f"first."
    )


def _checked(
    pieces: Iterator[NDArray[np.float32]], sound: Decoded
) -> Iterator[NDArray[np.float32]]:
    """Pass on ``(samples, channels)`` without denormals; refuse NaN, infinity and huge values."""
    at = 0
    for piece in pieces:
        # NaN compares false too
        if not (piece.min() >= -LOUDEST and piece.max() <= LOUDEST):
            bad = int((np.abs(piece) <= LOUDEST).argmin())
            when = at + bad // piece.shape[1]
            raise AudioError(
                f"samples of {sound.name} must be finite and at most {LOUDEST:.0f} in size. "
                f"Got {piece.flat[bad]} at {when / sound.sample_rate:.3f} s of the part read. "
                f"Record or convert it again."
            )
        at += len(piece)
        yield without_denormals(piece)


def _column(piece: NDArray[np.float32], channel: int | None) -> NDArray[np.float32]:
    """One channel, or the mean of all: added one by one, five times as fast as ``mean(axis=1)``."""
    if channel is not None or piece.shape[1] == 1:
        at = int(channel or 0)
        return piece[:, at : at + 1]
    with np.errstate(over="ignore", invalid="ignore"):
        mono = piece[:, 0].copy()
        for other in piece.T[1:]:
            mono += other
        mono /= piece.shape[1]
    return mono[:, np.newaxis]


def _too_long(sound: Decoded, max_seconds: float) -> AudioError:
    kind = f"{sound.channels} channel{'s' * (sound.channels > 1)} of {sound.sample_rate} Hz"
    much = sound.channels * sound.sample_rate > FULL_VALUES
    return AudioError(
        f"{sound.name} is longer than {max_seconds:g} s{f', the most of {kind}' if much else ''}. "
        f"Use --timeline, or in Python start and end, or a larger max_seconds."
    )
