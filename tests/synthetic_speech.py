"""Synthesize emotional speech: vowels from a pulse train through formants.

Made up, so never a result. What is known of acted speech is all that they carry: anger is loud,
quick and high; joy higher still and sweeping; sadness low, slow, soft and flat.

Source: Fant, "Acoustic Theory of Speech Production" (1960), source and filter; Peterson & Barney,
"Control Methods Used in a Study of the Vowels" (1952), formants of men and women.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter, sosfilt

RATE = 16_000  # Hz


class Mood(NamedTuple):
    """How a label sounds."""

    pitch: float  # times the speaker's own
    sweep: float  # of the pitch over a syllable, semitones
    syllables: float  # a second
    level: float  # root mean square, dB of full scale
    tilt: float  # of the source: the pole that dulls its pulses


MOODS = {
    "angry": Mood(1.35, 4.0, 6.5, -14, 0.80),
    "happy": Mood(1.60, 7.0, 5.5, -18, 0.88),
    "sad": Mood(0.85, 0.5, 3.0, -30, 0.96),
    "neutral": Mood(1.00, 2.0, 4.5, -23, 0.93),
}
PITCH = {"m": 115.0, "f": 205.0}  # Hz
TRACT = {"m": 1.0, "f": 1.17}  # a shorter one has higher formants
VOWELS = np.array(  # Hz: a e i o u
    [(750, 1250, 2450), (480, 1850, 2500), (290, 2250, 2950), (500, 900, 2400), (320, 750, 2300)]
)
BANDWIDTHS = np.array([70, 100, 150])  # Hz


class Speaker:
    """One made-up person; the same name is the same voice.

    Args:
        name: anything.
        gender: ``f`` or ``m``.
    """

    def __init__(self, name: str, gender: str) -> None:
        own = np.random.default_rng([*name.encode()])
        self.pitch = PITCH[gender] * own.uniform(0.88, 1.14)
        self.tract = TRACT[gender] * own.uniform(0.95, 1.05)
        self.level = own.uniform(-2, 2)  # dB

    def say(self, label: str, generator: np.random.Generator) -> NDArray[np.float32]:
        """Two or three syllables in a mood: ``(samples,)`` at 16 kHz, within [-1, 1]."""
        mood = MOODS[label]
        syllables = [self._syllable(mood, generator) for _ in range(generator.integers(2, 4))]
        speech = np.concatenate(syllables)
        level = mood.level + self.level + generator.normal(0, 1)
        speech *= 10 ** (level / 20) / np.sqrt(np.mean(speech**2))
        return np.clip(speech + generator.normal(0, 1e-4, len(speech)), -1, 1).astype(np.float32)

    def _syllable(self, mood: Mood, generator: np.random.Generator) -> NDArray[np.float64]:
        """A breath of noise, then a vowel whose pitch rises and falls."""
        length = round(RATE / mood.syllables * generator.uniform(0.85, 1.15))
        place = np.linspace(0, 1, length)
        rise = mood.sweep * np.sin(np.pi * place) + generator.normal(0, 0.4)
        pitch = self.pitch * mood.pitch * 2 ** (rise / 12)
        turns = np.cumsum(pitch / RATE)
        pulses = np.diff(np.floor(turns), prepend=0)
        pulses += generator.normal(0, 0.02, length) + 0.3 * generator.normal(size=length) * (
            place < 0.15
        )
        source = lfilter([1, -1], [1, -mood.tilt], lfilter([1], [1, -mood.tilt], pulses))
        formants = VOWELS[generator.integers(len(VOWELS))] * self.tract
        return sosfilt(_resonances(formants), source) * np.sin(np.pi * place) ** 0.5


def _resonances(formants: NDArray[np.float64]) -> NDArray[np.float64]:
    """A resonator of unit gain at 0 Hz for each formant, as second-order sections."""
    radius = np.exp(-np.pi * BANDWIDTHS / RATE)
    first, second = -2 * radius * np.cos(2 * np.pi * formants / RATE), radius**2
    rest = np.zeros_like(first), np.zeros_like(first), np.ones_like(first), first, second
    return np.stack([1 + first + second, *rest], axis=1)
