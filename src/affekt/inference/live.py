"""A sound that is being made to moments: how long, how loud, and which windows were answered.

A microphone, a pipe and a file are listened to by the same few lines.
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from affekt.audio.pcm import Decoded
from affekt.audio.reading import blocks
from affekt.audio.windows import SAMPLE_RATE
from affekt.inference.stream import Segment, Stream

MAX_SECONDS = 1_000 * 365 * 24 * 3600.0  # s: a stream has no end, and its memory does not grow


@dataclass(frozen=True, slots=True)
class Moment:
    """What a few more milliseconds of sound brought.

    Args:
        seconds: heard so far.
        level: of what is new, decibels below full scale (RMS); -inf for digital silence.
        segments: the windows that it completed.
    """

    seconds: float
    level: float
    segments: tuple[Segment, ...]


def listen(
    stream: Stream, sound: AbstractContextManager[Decoded], *, channel: int | None = None
) -> Iterator[Moment]:
    """Listen to a sound as it comes.

    Args:
        stream: of the model, at 16 kHz.
        sound: of :func:`~affekt.audio.decoding.decode` or
            :func:`~affekt.audio.microphone.microphone`; open for as long as this goes on.
        channel: the one to hear, from 0; the mean of all by default.

    Yields:
        A moment for each block of sound, and one for what its end completes.

    Raises:
        AudioError: no sound, or one that cannot be heard to its end.
        ModelError: the model cannot run.
    """
    samples, level = 0, -math.inf
    with sound as opened:
        for block in blocks(opened, channel=channel, max_seconds=MAX_SECONDS):
            samples += block.size
            power = float(np.mean(np.square(block, dtype=np.float64)))
            level = 10 * math.log10(power) if power else -math.inf
            yield Moment(samples / SAMPLE_RATE, level, tuple(stream.push(block)))
    yield Moment(samples / SAMPLE_RATE, level, tuple(stream.flush()))
