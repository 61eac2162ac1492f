"""Resample chunks of sound to 16 kHz with soxr.

The result does not depend on the sizes of the chunks. soxr cannot save its state, so a resampler
keeps the last one to two seconds of input, from a whole second on. A new resampler that processes
them again continues with the same output to 2e-6 of full scale.
"""

from collections.abc import Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

from affekt.audio.pcm import LOUDEST
from affekt.audio.windows import SAMPLE_RATE


def resampled(
    sound: Iterator[NDArray[np.float32]], sample_rate: int, channels: int
) -> Iterator[NDArray[np.float32]]:
    """Resample a whole sound into blocks at 16 kHz, none empty.

    Args:
        sound: blocks ``(samples, channels)``, in order.
        sample_rate: Hz of the sound.
    """
    if sample_rate == SAMPLE_RATE:
        yield from sound
        return
    stream = soxr.ResampleStream(sample_rate, SAMPLE_RATE, channels, dtype="float32", quality="HQ")
    for piece in sound:
        if len(block := stream.resample_chunk(np.ascontiguousarray(piece))):
            yield block.clip(-LOUDEST, LOUDEST)
    if len(block := stream.resample_chunk(np.empty((0, channels), np.float32), last=True)):
        yield block.clip(-LOUDEST, LOUDEST)


class Resampler:
    """Resample one sound to 16 kHz, chunk by chunk.

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
        self._unwanted = 0  # samples to drop: the former resampler returned them
        self.second = 0  #: whole seconds of input before replay
        self.given = 0  #: samples at 16 kHz returned so far

    @property
    def replay(self) -> NDArray[np.float32]:
        """The last 1 to 2 seconds of input, or all of a shorter input."""
        return self._kept[: self._filled]

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Resample the next chunk, ``(samples,)``; the result is delayed by some milliseconds."""
        self._keep(samples)
        return self._fresh(self._soxr.resample_chunk(samples))

    def end(self) -> NDArray[np.float32]:
        """Return the delayed samples at the end of the sound."""
        return self._fresh(self._soxr.resample_chunk(np.empty(0, np.float32), last=True))

    def catch_up(
        self, replay: NDArray[np.float32], *, second: int, given: int
    ) -> NDArray[np.float32]:
        """Continue a sound of another resampler, given its attributes of the same names.

        Returns samples that the other has not returned yet; no other call may come before.
        """
        self.second, self.given = second, given
        self._unwanted = given - second * SAMPLE_RATE
        return self.push(replay)

    def _keep(self, samples: NDArray[np.float32]) -> None:
        # filled in place: to join arrays takes eight times as long as to resample a short chunk
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
        return samples[dropped:].clip(-LOUDEST, LOUDEST)
