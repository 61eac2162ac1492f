"""Resample chunks of sound to 16 kHz, seamlessly and restorably.

How the sound is cut into chunks never changes a bit of the result. soxr does the work; what it
cannot do is hand out its state, so the last one to two seconds of input are kept, from a whole
second on: there the grids of both rates meet, and a new resampler that processes them again goes on
as the old one would have (to 2e-6 of full scale: its filters reach back less than 0.1 s).
"""

from collections.abc import Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

from affekt.audio.windows import SAMPLE_RATE

_NOTHING = np.empty(0, np.float32)


def resampled(
    sound: Iterator[NDArray[np.float32]], sample_rate: int, *, channels: int = 0
) -> Iterator[NDArray[np.float32]]:
    """Resample a whole sound, which never moves elsewhere on its way.

    Args:
        sound: blocks ``(samples,)``, or ``(samples, channels)``, in order.
        sample_rate: Hz of the sound.
        channels: of the blocks that have two axes; 0 for blocks with one.

    Yields:
        Blocks of that form at 16 kHz, none empty.
    """
    if sample_rate == SAMPLE_RATE:
        yield from sound
        return
    stream = soxr.ResampleStream(
        sample_rate, SAMPLE_RATE, channels or 1, dtype="float32", quality="HQ"
    )
    for piece in sound:
        if len(block := stream.resample_chunk(np.ascontiguousarray(piece))):
            yield block
    nothing = np.empty((0, channels), np.float32) if channels else _NOTHING
    if len(block := stream.resample_chunk(nothing, last=True)):
        yield block


class Resampler:
    """One sound on its way to 16 kHz.

    Args:
        sample_rate: Hz of the sound, a whole number.

    >>> resampler = Resampler(8_000)
    >>> sound = [resampler.push(np.zeros(4_000, np.float32)), resampler.end()]
    >>> np.concatenate(sound).shape
    (8000,)
    """

    def __init__(self, sample_rate: int) -> None:
        self._soxr = soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
        self._rate = sample_rate
        self._kept = np.empty(2 * sample_rate, np.float32)
        self._filled = 0
        self._unwanted = 0  # samples still to come that were given before the sound moved here
        self.second = 0
        """Whole seconds of input before :attr:`replay`."""
        self.given = 0
        """Samples at 16 kHz that came out so far."""

    @property
    def replay(self) -> NDArray[np.float32]:
        """The last input samples: at most two seconds, at least one if there was one."""
        return self._kept[: self._filled]

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Resample the next chunk.

        Args:
            samples: ``(samples,)`` mono, any number.

        Returns:
            ``(samples,)`` at 16 kHz: what is ready, some milliseconds behind.
        """
        self._keep(samples)
        return self._fresh(self._soxr.resample_chunk(samples))

    def end(self) -> NDArray[np.float32]:
        """Give out what was behind; the sound is over."""
        return self._fresh(self._soxr.resample_chunk(_NOTHING, last=True))

    def catch_up(
        self, replay: NDArray[np.float32], *, second: int, given: int
    ) -> NDArray[np.float32]:
        """Take over, as the first thing, a sound that another resampler began.

        Args:
            replay: the other's :attr:`replay`.
            second: the other's :attr:`second`.
            given: the other's :attr:`given`.

        Returns:
            Samples that the other had not given out yet.
        """
        self.second, self.given = second, given
        self._unwanted = given - second * SAMPLE_RATE
        return self.push(replay)

    def _keep(self, samples: NDArray[np.float32]) -> None:
        while samples.size:
            if self._filled == self._kept.size:
                self._kept[: self._rate] = self._kept[self._rate :]
                self._filled = self._rate
                self.second += 1
            taken = samples[: self._kept.size - self._filled]
            self._kept[self._filled : self._filled + taken.size] = taken
            self._filled += taken.size
            samples = samples[taken.size :]

    def _fresh(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        dropped = min(self._unwanted, samples.size)
        self._unwanted -= dropped
        self.given += samples.size - dropped
        return samples[dropped:]
