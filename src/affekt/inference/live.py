"""Recognize emotions in live sound block by block, and measure its level.

A microphone, a pipe and a file are processed in the same way.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affekt.audio.pcm import Decoded
from affekt.audio.reading import LATEST, Channel, channel_blocks
from affekt.audio.windows import SAMPLE_RATE
from affekt.inference.prediction import Segment
from affekt.inference.stream import Stream


@dataclass(frozen=True, slots=True)
class Moment:
    """The results of one more block of sound."""

    seconds: float  #: of sound so far
    levels: tuple[float, ...]  #: of its channels, RMS in dB of full scale; -inf for no signal
    segments: tuple[Segment, ...]  #: of the windows that the block completed


@dataclass(frozen=True, slots=True)
class ChannelStreams:
    """The streams of the channels of one sound."""

    streams: list[Stream]  #: one for each channel, in order
    each: bool  #: whether each channel is one speaker; segments then have their channel

    def push(self, block: NDArray[Any]) -> tuple[Segment, ...]:
        """Take the next ``(samples, channels)``, and return the segments that they complete.

        Segments are in the order of their ends. Errors are those of :meth:`affekt.Stream.push`.
        """
        pairs = zip(self.streams, block.T, strict=True)
        return self._merged([stream.push(samples) for stream, samples in pairs])

    def flush(self) -> tuple[Segment, ...]:
        """End the sound, and return the segments that are left, by their ends."""
        return self._merged([stream.flush() for stream in self.streams])

    def _merged(self, found: list[list[Segment]]) -> tuple[Segment, ...]:
        if not self.each:
            return tuple(segment for each in found for segment in each)
        named = (replace(segment, channel=n) for n, each in enumerate(found) for segment in each)
        return tuple(sorted(named, key=lambda segment: segment.end))


def listen(
    stream_of: Callable[[], Stream],
    sound: AbstractContextManager[Decoded],
    *,
    channel: Channel = None,
) -> Iterator[Moment]:
    """Recognize a sound block by block: yield a moment for each block, and one at the end.

    Args:
        stream_of: makes a stream of the model, at 16 kHz.
        sound: of :func:`~affekt.audio.decoding.decode` or
            :func:`~affekt.audio.microphone.microphone`.
        channel: as of :func:`affekt.audio.reading.channel_blocks`; for ``each``, each channel is
            a speaker with a separate stream.

    Raises:
        AudioError: no sound, or one that breaks off.
        ModelError: the model cannot run.
    """
    samples, levels = 0, tuple[float, ...]()
    streams = ChannelStreams([], each=channel == "each")
    with sound as opened:
        for block in channel_blocks(opened, channel=channel, max_seconds=LATEST):
            if not streams.streams:
                streams.streams.extend(stream_of() for _ in range(block.shape[1]))
            samples += len(block)
            levels = tuple(map(_level, block.T))
            yield Moment(samples / SAMPLE_RATE, levels, streams.push(block))
    yield Moment(samples / SAMPLE_RATE, levels, streams.flush())


def _level(samples: NDArray[np.float32]) -> float:
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return 10 * math.log10(power) if power else -math.inf
