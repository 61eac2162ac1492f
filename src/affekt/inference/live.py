"""Recognize emotions in live sound block by block, and measure its level.

A microphone, a pipe and a file are processed in the same way.
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from affekt.audio.pcm import Decoded
from affekt.audio.reading import blocks
from affekt.audio.windows import SAMPLE_RATE
from affekt.inference.prediction import Segment
from affekt.inference.stream import Stream

MAX_SECONDS = 1_000 * 365 * 24 * 3600.0  # s: a stream has no end, and its memory does not grow


@dataclass(frozen=True, slots=True)
class Moment:
    """The results of one more block of sound.

    Args:
        seconds: of sound so far.
        level: of the new block, decibels below full scale (RMS); -inf for digital silence.
        segments: of the windows that the block completed.
    """

    seconds: float
    level: float
    segments: tuple[Segment, ...]


def listen(
    stream: Stream, sound: AbstractContextManager[Decoded], *, channel: int | None = None
) -> Iterator[Moment]:
    """Recognize a sound block by block.

    Args:
        stream: of the model, at 16 kHz.
        sound: of :func:`~affekt.audio.decoding.decode` or
            :func:`~affekt.audio.microphone.microphone`; it stays open until the end.
        channel: to use, from 0; the mean of all by default.

    Yields:
        A moment for each block of sound, and one at its end.

    Raises:
        AudioError: no sound, or one that breaks off.
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
