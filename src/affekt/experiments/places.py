"""A recording to the same one made elsewhere: another microphone, another room, a telephone.

Corpora differ by where they were recorded before they differ by who speaks, and a network that
has heard few places takes the place for the mood. A simulated speaker is at one place in all
recordings, as most people are, so that a profile learns the place with the person.

Source: Ko et al., "A study on data augmentation of reverberant speech for robust speech
recognition" (2017); ITU-T G.711 for the telephone.
"""

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.signal import fftconvolve, firwin2

from affekt.audio.windows import SAMPLE_RATE

BANDS = (0, 100, 250, 500, 1_000, 2_000, 3_500, 5_000, 8_000)  # Hz where a response is drawn
STEP = 3.0  # dB, deviation of a microphone's response from one of them to the next
TAPS = 255  # of the microphone's filter
ROOMS = 0.5  # of the places; the others are as dry as the recording
REVERBERATION = (0.1, 0.5)  # s in which a room's echoes fall by 60 dB
DIRECT = (0.0, 15.0)  # dB of what comes straight from the mouth over all echoes
EARLIEST = 0.001  # s after which echoes come
TELEPHONES = 0.15  # of the places
TELEPHONE_RATE = 8_000  # Hz
COMPANDING = 255.0  # of G.711's mu-law


def elsewhere(samples: NDArray[np.float32], place: np.random.Generator) -> NDArray[np.float32]:
    """A recording as it would have been made at another place.

    Args:
        samples: ``(samples,)`` at 16 kHz.
        place: what decides; the same state is the same place.

    Returns:
        ``(samples,)`` float32 of the same length, and of the same root mean square but for what
        a telephone leaves out.
    """
    sound = fftconvolve(samples, _microphone(place))[TAPS // 2 :][: samples.size]
    room = _room(place)
    if place.random() < ROOMS:
        sound = fftconvolve(sound, room)[: samples.size]
    telephone = place.random() < TELEPHONES
    sound *= _level(samples) / max(_level(sound), 1e-9)
    if telephone:
        sound = _telephoned(sound)
    made: NDArray[np.float32] = sound.astype(np.float32)
    return made


def _microphone(place: np.random.Generator) -> NDArray[np.float64]:
    """A linear-phase filter whose response wanders from band to band."""
    decibels = np.cumsum(place.normal(0.0, STEP, len(BANDS)))
    gains = 10.0 ** ((decibels - decibels.mean()) / 20.0)
    made: NDArray[np.float64] = firwin2(TAPS, BANDS, gains, fs=SAMPLE_RATE)
    return made


def _room(place: np.random.Generator) -> NDArray[np.float64]:
    """An impulse response: the voice itself, then noise that dies away."""
    seconds = place.uniform(*REVERBERATION)
    direct = 10.0 ** (place.uniform(*DIRECT) / 20.0)
    instants = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    echoes = place.standard_normal(instants.size) * 10.0 ** (-3.0 * instants / seconds)
    echoes[instants < EARLIEST] = 0.0
    echoes /= direct * np.sqrt(np.sum(np.square(echoes)))
    echoes[0] = 1.0
    return echoes


def _telephoned(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is left after a line of 8 kHz and 8 bits."""
    line = soxr.resample(sound, SAMPLE_RATE, TELEPHONE_RATE).clip(-1.0, 1.0)
    loud = np.log1p(COMPANDING * np.abs(line)) / np.log1p(COMPANDING)
    heard = np.sign(line) * np.round(127.0 * loud) / 127.0
    line = np.sign(heard) * np.expm1(np.abs(heard) * np.log1p(COMPANDING)) / COMPANDING
    back = soxr.resample(line, TELEPHONE_RATE, SAMPLE_RATE)[: sound.size]
    made: NDArray[np.float64] = np.pad(back, (0, sound.size - back.size))
    return made


def _level(sound: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))
