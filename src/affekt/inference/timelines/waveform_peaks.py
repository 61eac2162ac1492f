"""Compute the peaks of a waveform for drawing, in constant memory."""

import numpy as np
from numpy.typing import NDArray

from affekt.audio.windows import SAMPLE_RATE

PARTS = 4_096  # at most: twice the dots of a page


class WaveformPeaks:
    """Lowest and highest sample of each part of a sound that comes block by block.

    The parts double in length whenever there are too many.
    """

    def __init__(self) -> None:
        self._part = 16  # samples
        self._samples = 0
        self._peaks: NDArray[np.float32] = np.empty((0, 2), np.float32)
        self._rest: NDArray[np.float32] = np.empty(0, np.float32)

    def push(self, samples: NDArray[np.float32]) -> None:
        """Take the next ``(samples,)`` at 16 kHz."""
        self._samples += samples.size
        sound = np.concatenate([self._rest, samples])
        while len(sound) >= self._part:
            parts = min(len(sound) // self._part, PARTS - len(self._peaks))
            here, sound = np.split(sound, [parts * self._part])
            self._peaks = np.concatenate([self._peaks, _peaks(here, self._part)])
            if len(self._peaks) == PARTS:
                pairs = self._peaks.reshape(-1, 2, 2)
                self._peaks = np.stack([pairs[..., 0].min(1), pairs[..., 1].max(1)], axis=1)
                self._part *= 2
        self._rest = sound

    @property
    def seconds(self) -> float:
        """Duration of the sound so far."""
        return self._samples / SAMPLE_RATE

    @property
    def seconds_per_part(self) -> float:
        """Duration of a part; the last may be shorter."""
        return self._part / SAMPLE_RATE

    @property
    def peaks(self) -> NDArray[np.float32]:
        """``(parts, 2)`` lowest and highest sample of each part, in order."""
        if not self._rest.size:
            return self._peaks
        return np.concatenate([self._peaks, _peaks(self._rest, self._rest.size)])


def _peaks(sound: NDArray[np.float32], part: int) -> NDArray[np.float32]:
    parts = sound.reshape(-1, part)
    return np.stack([parts.min(axis=1), parts.max(axis=1)], axis=1)
