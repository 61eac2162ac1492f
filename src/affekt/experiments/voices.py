"""A speaker's recordings to those of a speaker who does not exist: a voice of another size.

Pitch and formants move together, as they do from one body to another; half of the voices keep
their tempo, the others speak faster as they speak higher. A simulated speaker has one size in all
recordings, so that it has a profile as everybody has; and one place, if places are simulated
too. Only training speakers are simulated.

Source: Jaitly & Hinton, "Vocal tract length perturbation improves speech recognition" (2013);
Ko et al., "Audio augmentation for speech recognition" (2015).
"""

from hashlib import sha256

import librosa
import numpy as np
import soxr
from numpy.typing import NDArray

from affekt.audio.windows import SAMPLE_RATE
from affekt.experiments.places import elsewhere

SEMITONES = 4.0  # at most, up or down
DECIBELS = 6.0  # at most, louder or softer
NOISE = (-60.0, -30.0)  # dB of white noise against the recording
FRAME = 2_048  # samples: what the phase vocoder needs at least


def simulated(
    samples: NDArray[np.float32], speaker: str, voice: int, *, clip: str, places: bool = False
) -> NDArray[np.float32]:
    """A recording as a simulated speaker would have made it.

    Args:
        samples: ``(samples,)`` at 16 kHz.
        speaker: who speaks.
        voice: which of the speakers simulated from them; 0 is the speaker as recorded.
        clip: name of the recording; the noise in it follows from it.
        places: whether the voice was recorded elsewhere, at one place in all of its recordings.

    Returns:
        ``(samples,)`` float32, of another length unless the voice keeps its tempo.
    """
    if voice == 0:
        return samples
    body = np.random.default_rng(_seed(speaker, voice))
    ratio = 2.0 ** (body.uniform(-SEMITONES, SEMITONES) / 12.0)
    keeps_tempo = bool(body.integers(2))
    gain = 10.0 ** (body.uniform(-DECIBELS, DECIBELS) / 20.0)
    noise = 10.0 ** (body.uniform(*NOISE) / 20.0)
    sound = soxr.resample(samples, SAMPLE_RATE * ratio, SAMPLE_RATE)
    if keeps_tempo:
        lacking = max(0, FRAME - sound.size)
        stretched = librosa.effects.time_stretch(np.pad(sound, (0, lacking)), rate=1.0 / ratio)
        sound = stretched[: samples.size] if lacking else stretched
    hiss = np.random.default_rng(_seed(clip, voice)).standard_normal(sound.size)
    loudness = np.sqrt(np.mean(np.square(samples, dtype=np.float64)))
    made: NDArray[np.float32] = (gain * (sound + noise * loudness * hiss)).astype(np.float32)
    if places:
        return elsewhere(made, np.random.default_rng(_seed(f"place {speaker}", voice)))
    return made


def _seed(name: str, voice: int) -> int:
    return int.from_bytes(sha256(f"{voice} {name}".encode()).digest()[:8], "big")
