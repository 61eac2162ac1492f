"""Distort recordings as devices, rooms, lines and people do.

Sources: the tiny changes are those of audEERING's ser-tests, which a listener finds subtle
(Derington et al., "Testing correctness, fairness, and robustness of speech emotion recognition
models", 2023). A room's impulse response is decaying noise (Polack's model).
"""

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

import av
import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, sosfilt
from soxr import resample

from affekt.audio.reading import read
from affekt.audio.windows import SAMPLE_RATE as RATE

Sound = NDArray[np.float32]
Generator = np.random.Generator
Effect = Callable[[Sound, float, Generator], NDArray[np.floating]]
PACKET = RATE // 50  # 20 ms
SHORT = (100, 500, 1_000)  # samples


@dataclass(frozen=True)
class Distortion:
    """One strength of one test."""

    test: str  #: name of the test
    strength: float  #: in the test's unit; NaN if each clip draws its own
    unit: str  #: of the strength, such as dB
    effect: Effect  #: distorts a sound, with a strength and a generator of random numbers
    #: of a tiny change, the strengths that each clip draws one from. People hardly notice tiny
    #: changes, so nearly all answers must stay.
    drawn: tuple[float, ...] = ()

    def apply(self, sound: Sound, generator: Generator) -> Sound:
        """Distort ``(samples,)`` at 16 kHz."""
        strength = float(generator.choice(self.drawn)) if self.drawn else self.strength
        return np.ascontiguousarray(self.effect(sound, strength, generator), np.float32)


def distortions(babble: Sound) -> Iterator[Distortion]:
    """All tests: tiny changes, then each other test from its weakest to its strongest.

    Args:
        babble: ``(samples,)`` at 16 kHz, speech of other people at once; repeated as needed.
    """
    for test, effect, drawn in _tiny():
        yield Distortion(test, math.nan, "", effect, drawn)
    for test, unit, effect, strengths in _tests(babble):
        for strength in strengths:
            yield Distortion(test, strength, unit, effect)


def _tiny() -> Iterator[tuple[str, Effect, tuple[float, ...]]]:
    """Name and effect of each tiny change, and the strengths that a clip draws from."""
    yield "gain of 1 or 2 dB", lambda s, v, _: s * 10 ** (v / 20), (-2, -1, 1, 2)
    yield "white noise, 35 to 45 dB", _white, (35, 40, 45)
    yield "tone, 40 to 50 dB", _tone, (40, 45, 50)
    yield "0.1 to 0.3 % clipped", lambda s, v, _: _clip(s, v), (0.001, 0.002, 0.003)
    yield "high-pass, 50 to 150 Hz", lambda s, v, _: _filter(s, v, "high", 1), (50, 100, 150)
    yield "low-pass, 6.5 to 7.5 kHz", lambda s, v, _: _filter(s, v, "low", 1), (6_500, 7_000, 7_500)
    yield "zeros before", lambda s, v, _: np.pad(s, (int(v), 0)), SHORT
    yield "zeros after", lambda s, v, _: np.pad(s, (0, int(v))), SHORT
    yield "beginning cropped", lambda s, v, _: s[min(int(v), s.size - 1) :], SHORT
    yield "end cropped", lambda s, v, _: s[: max(s.size - int(v), 1)], SHORT
    yield "polarity inverted", lambda s, _, __: -s, (0,)
    yield "constant offset of 0.01", lambda s, _, __: s + 0.01, (0,)


def _tests(babble: Sound) -> Iterator[tuple[str, str, Effect, tuple[float, ...]]]:
    """Name, unit, effect and strengths of each test."""
    yield "white noise", "dB SNR", _white, (30, 20, 10, 0)
    yield "pink noise", "dB SNR", _pink, (30, 20, 10, 0)
    yield "babble", "dB SNR", lambda s, v, g: _babble(s, v, g, babble), (20, 10, 0)
    yield "hum, 50 Hz", "dB SNR", lambda s, v, _: _mixed(s, _sine(50, s.size), v), (40, 20)
    yield "room", "s", _room, (0.2, 0.5, 1.0)
    yield "level", "dB", lambda s, v, _: s * 10 ** (v / 20), (20, 6, -6, -20, -40)
    yield "clipping", "of samples", lambda s, v, _: _clip(s, v), (0.01, 0.05, 0.1)
    yield "packet loss", "of packets", _lose, (0.01, 0.05, 0.1)
    yield "MP3", "kbit/s", lambda s, v, _: _coded(s, "libmp3lame", "mp3", v), (64, 32, 16)
    yield "Opus", "kbit/s", lambda s, v, _: _coded(s, "libopus", "ogg", v), (24, 12, 6)
    amr = partial(_coded, codec="libopencore_amrnb", container="amr", rate=8_000)
    yield "AMR, narrow band", "kbit/s", lambda s, v, _: amr(s, kilobits=v), (12.2, 7.4, 4.75)
    g711 = partial(_coded, codec="pcm_mulaw", container="wav", rate=8_000)
    yield "G.711, mu-law", "kbit/s", lambda s, v, _: g711(s, kilobits=v), (64,)
    yield "resampling", "Hz", lambda s, v, _: resample(resample(s, RATE, v), v, RATE), (8_000,)
    yield "low-pass", "Hz", lambda s, v, _: _filter(s, v, "low", 4), (4_000, 2_000, 1_000)
    yield "high-pass", "Hz", lambda s, v, _: _filter(s, v, "high", 4), (100, 300, 500)
    yield "speed", "times", lambda s, v, _: resample(s, RATE * v, RATE), (0.9, 0.95, 1.05, 1.1)
    yield "silence added", "s", lambda s, v, _: np.pad(s, round(v * RATE)), (0.5, 1.0)
    yield "crop", "removed", _crop, (0.1, 0.2, 0.4)


def _rms(sound: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) or 1e-9


def _mixed(sound: Sound, other: NDArray[np.floating], snr: float) -> NDArray[np.floating]:
    return np.asarray(sound + other * (_rms(sound) * 10 ** (-snr / 20) / _rms(other)))


def _white(sound: Sound, snr: float, generator: Generator) -> NDArray[np.floating]:
    return _mixed(sound, generator.standard_normal(sound.size), snr)


def _pink(sound: Sound, snr: float, generator: Generator) -> NDArray[np.floating]:
    spectrum = np.fft.rfft(generator.standard_normal(sound.size))
    spectrum /= np.sqrt(np.arange(1, spectrum.size + 1))  # the power falls by 3 dB an octave
    return _mixed(sound, np.fft.irfft(spectrum, sound.size), snr)


def _babble(sound: Sound, snr: float, generator: Generator, babble: Sound) -> NDArray[np.floating]:
    first = int(generator.integers(babble.size))
    return _mixed(sound, np.take(babble, np.arange(first, first + sound.size), mode="wrap"), snr)


def _tone(sound: Sound, snr: float, generator: Generator) -> NDArray[np.floating]:
    """Add a tone whose peak lies so many dB below the sound's peak."""
    peak = np.abs(sound).max() * 10 ** (-snr / 20)
    return np.asarray(sound + peak * _sine(generator.uniform(5_000, 7_000), sound.size))


def _sine(hertz: float, samples: int) -> NDArray[np.float64]:
    return np.sin(2 * np.pi * hertz * np.arange(samples) / RATE)


def _room(sound: Sound, seconds: float, generator: Generator) -> NDArray[np.floating]:
    """Add reverberation as loud as the direct sound; it falls by 60 dB in so many seconds."""
    instants = np.arange(round(seconds * RATE)) / RATE
    echoes = generator.standard_normal(instants.size) * 10 ** (-3 * instants / seconds)
    echoes /= np.sqrt(np.sum(np.square(echoes)))
    echoes[0] = 1.0
    made = fftconvolve(sound, echoes)[: sound.size]
    return np.asarray(made * (_rms(sound) / _rms(made)))


def _clip(sound: Sound, share: float) -> Sound:
    peak = np.quantile(np.abs(sound), 1 - share)
    return np.clip(sound, -peak, peak)


def _lose(sound: Sound, share: float, generator: Generator) -> Sound:
    lost = generator.random(-(-sound.size // PACKET)) < share
    return np.where(np.repeat(lost, PACKET)[: sound.size], np.float32(0), sound)


def _coded(sound: Sound, codec: str, container: str, kilobits: float, rate: int = RATE) -> Sound:
    """Encode and decode a sound, in a file of that container."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = cast(av.AudioStream, output.add_stream(codec, rate=rate, layout="mono"))
        stream.bit_rate = round(kilobits * 1_000)
        line = sound if rate == RATE else resample(sound, RATE, rate)
        frame = av.AudioFrame.from_ndarray(line.clip(-1, 1)[np.newaxis], "fltp", "mono")
        frame.sample_rate = rate
        output.mux([*stream.encode(frame), *stream.encode(None)])
    return read(file.getvalue())


def _filter(sound: Sound, hertz: float, kind: str, order: int) -> NDArray[np.floating]:
    return np.asarray(sosfilt(butter(order, hertz, kind, fs=RATE, output="sos"), sound))


def _crop(sound: Sound, share: float, generator: Generator) -> Sound:
    removed = int(sound.size * share)
    first = int(generator.integers(removed + 1))
    return sound[first : sound.size - removed + first]
