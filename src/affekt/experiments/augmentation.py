"""Simulate recordings of other speakers, rooms, microphones and bandwidths.

All sounds are ``(samples,)`` arrays at 16 kHz. A simulated speaker has pitch and formants shifted
together; for half of them the tempo changes with the pitch. It has the same shift, room, microphone
and bandwidth in all recordings, so that a profile of it can be made. Only training speakers are
simulated.

Source: Jaitly & Hinton, "Vocal tract length perturbation improves speech recognition" (2013);
Ko et al., "Audio augmentation for speech recognition" (2015), and "A study on data augmentation of
reverberant speech for robust speech recognition" (2017); ITU-T G.711 for the telephone.
"""

from dataclasses import dataclass
from hashlib import sha256

import librosa
import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.signal import fftconvolve, firwin2

from affekt.audio.windows import SAMPLE_RATE

SEMITONES = 4.0  # largest shift of pitch and formants, up or down
DECIBELS = 6.0  # largest change of level, up or down
NOISE = (-60.0, -30.0)  # dB of white noise relative to the recording
STRETCHED = 2_048  # samples: shortest input of the phase vocoder
BANDS = (0, 100, 250, 500, 1_000, 2_000, 3_500, 5_000, 8_000)  # Hz: knots of a response
STEP = 3.0  # dB, standard deviation of a microphone's response from one knot to the next
TAPS = 255  # of the microphone's filter
ROOMS = 0.5  # share of the simulated speakers with a reverberant room
REVERBERATION = (0.1, 0.5)  # s: time in which a room's echoes fall by 60 dB
DIRECT = (0.0, 15.0)  # dB of direct sound over all echoes
EARLIEST = 0.001  # s after which echoes begin
TELEPHONES = 0.15  # share of the simulated speakers on a telephone
TELEPHONE_RATE = 8_000  # Hz
COMPANDING = 255.0  # of G.711's mu-law
BANDWIDTHS = (4_000, 5_500, 7_000)  # Hz: limits of the bandwidth augmentation
NOISY = 0.5  # share of the simulated speakers with a noisy background
SIGNAL_TO_NOISE = (0.0, 30.0)  # dB of the recording over its background
SLOPES = (0.0, 2.0)  # power of the background falls with frequency ** slope
LOWEST = 50.0  # Hz, below which its power is constant
LIMITED = 0.5  # share of the simulated speakers with a limited bandwidth


@dataclass(frozen=True)
class Augmentation:
    """Settings of the augmentation."""

    channel: bool = False  #: whether each has another microphone, room or telephone
    bandwidth: bool = False  #: whether the bandwidth of some is limited
    noise: bool = False  #: whether some have a noisy background

    def cache_key(self, speaker: int) -> list[object]:
        """Return the part of the cache key that identifies a simulated speaker.

        Change a word when its simulation changes. Speaker 0 is the original recording.
        """
        words = {"elsewhere": self.channel, "bandwidth": self.bandwidth, "noise": self.noise}
        return [speaker, *(word for word, used in words.items() if speaker and used)]


def simulated(
    samples: NDArray[np.float32],
    speaker: str,
    number: int,
    *,
    clip: str,
    augmentation: Augmentation,
) -> NDArray[np.float32]:
    """Simulate a recording of another speaker.

    Args:
        speaker: of the recording.
        number: of the speaker simulated from them; 0 returns the recording unchanged.
        clip: name of the recording; seeds its noise.

    Returns:
        The sound; of another length unless the tempo is kept.
    """
    if number == 0:
        return samples
    body = _generator(speaker, number)
    ratio = 2.0 ** (body.uniform(-SEMITONES, SEMITONES) / 12.0)
    keeps_tempo = bool(body.integers(2))
    gain = 10.0 ** (body.uniform(-DECIBELS, DECIBELS) / 20.0)
    noise = 10.0 ** (body.uniform(*NOISE) / 20.0)
    sound = soxr.resample(samples, SAMPLE_RATE * ratio, SAMPLE_RATE)
    if keeps_tempo:
        lacking = max(0, STRETCHED - sound.size)
        stretched = librosa.effects.time_stretch(np.pad(sound, (0, lacking)), rate=1.0 / ratio)
        sound = stretched[: samples.size] if lacking else stretched
    hiss = _generator(clip, number).standard_normal(sound.size)
    made = np.asarray(gain * (sound + noise * _rms(samples) * hiss), np.float32)
    if augmentation.channel:
        made = simulate_channel(made, _generator(f"place {speaker}", number))
    if augmentation.noise:
        background = _generator(f"noise {speaker}", number)
        made = add_noise(made, background, _generator(f"noise {clip}", number))
    if augmentation.bandwidth:
        made = limit_bandwidth(made, _generator(f"band {speaker}", number))
    return made


def simulate_channel(
    samples: NDArray[np.float32], generator: np.random.Generator
) -> NDArray[np.float32]:
    """Simulate another microphone, and for some recordings a room or a telephone.

    The same state of the generator gives the same channel. Length and root mean square stay,
    except for what a telephone removes.
    """
    sound = fftconvolve(samples, _microphone(generator))[TAPS // 2 :][: samples.size]
    room = _room(generator)
    if generator.random() < ROOMS:
        sound = fftconvolve(sound, room)[: samples.size]
    telephone = generator.random() < TELEPHONES
    sound *= _rms(samples) / max(_rms(sound), 1e-9)
    if telephone:
        sound = _telephone(sound)
    return np.asarray(sound, np.float32)


def add_noise(
    samples: NDArray[np.float32], background: np.random.Generator, instants: np.random.Generator
) -> NDArray[np.float32]:
    """Add background noise to some recordings, between white and brown, 0 to 30 dB below them.

    The same state of ``background`` gives the same spectrum and level, or no noise; ``instants``
    draws the noise itself.
    """
    noisy = background.random() < NOISY
    decibels, slope = background.uniform(*SIGNAL_TO_NOISE), background.uniform(*SLOPES)
    if not noisy:
        return samples
    spectrum = np.fft.rfft(instants.standard_normal(samples.size))
    hertz = np.fft.rfftfreq(samples.size, 1 / SAMPLE_RATE)
    noise = np.fft.irfft(spectrum * np.maximum(hertz, LOWEST) ** (-slope / 2), samples.size)
    noise *= _rms(samples) / max(_rms(noise), 1e-9) * 10.0 ** (-decibels / 20.0)
    return (samples + noise).astype(np.float32)


def limit_bandwidth(
    samples: NDArray[np.float32], generator: np.random.Generator
) -> NDArray[np.float32]:
    """Remove all above 4, 5.5 or 7 kHz from some recordings; corpora differ in this.

    The same state of the generator gives the same limit, or none.
    """
    if generator.random() >= LIMITED:
        return samples
    rate = 2 * int(generator.choice(BANDWIDTHS))
    narrow = soxr.resample(samples, SAMPLE_RATE, rate)
    back = soxr.resample(narrow, rate, SAMPLE_RATE)[: samples.size]
    return np.pad(back, (0, samples.size - back.size))


def _microphone(generator: np.random.Generator) -> NDArray[np.float64]:
    """A linear-phase filter whose response is a random walk over the bands."""
    decibels = np.cumsum(generator.normal(0.0, STEP, len(BANDS)))
    gains = 10.0 ** ((decibels - decibels.mean()) / 20.0)
    return np.asarray(firwin2(TAPS, BANDS, gains, fs=SAMPLE_RATE))


def _room(generator: np.random.Generator) -> NDArray[np.float64]:
    """An impulse response: the direct sound, then exponentially decaying noise."""
    seconds = generator.uniform(*REVERBERATION)
    direct = 10.0 ** (generator.uniform(*DIRECT) / 20.0)
    instants = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    echoes = generator.standard_normal(instants.size) * 10.0 ** (-3.0 * instants / seconds)
    echoes[instants < EARLIEST] = 0.0
    echoes /= direct * np.sqrt(np.sum(np.square(echoes)))
    echoes[0] = 1.0
    return echoes


def _telephone(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pass a sound through a line of 8 kHz and 8 bits."""
    line = soxr.resample(sound, SAMPLE_RATE, TELEPHONE_RATE).clip(-1.0, 1.0)
    loud = np.log1p(COMPANDING * np.abs(line)) / np.log1p(COMPANDING)
    quantized = np.sign(line) * np.round(127.0 * loud) / 127.0
    expanded = np.expm1(np.abs(quantized) * np.log1p(COMPANDING)) / COMPANDING
    back = soxr.resample(np.sign(quantized) * expanded, TELEPHONE_RATE, SAMPLE_RATE)[: sound.size]
    return np.pad(back, (0, sound.size - back.size))


def _rms(sound: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))


def _generator(name: str, number: int) -> np.random.Generator:
    digest = sha256(f"{number} {name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
