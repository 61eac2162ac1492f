"""Test simulated microphones, rooms, telephones and noise: constant for each simulated speaker."""

import numpy as np
import pytest
from numpy.typing import NDArray

from affekt.experiments import augmentation
from affekt.experiments.augmentation import (
    DIRECT,
    SIGNAL_TO_NOISE,
    STEP,
    Augmentation,
    add_noise,
    simulate_channel,
    simulated,
)

RATE = 16_000
NOISE = (0.05 * np.random.default_rng(0).standard_normal(2 * RATE)).astype(np.float32)


def at(number: int) -> np.random.Generator:
    return np.random.default_rng(number)


def only(monkeypatch: pytest.MonkeyPatch, *, rooms: float = 0.0, telephones: float = 0.0) -> None:
    monkeypatch.setattr(augmentation, "ROOMS", rooms)
    monkeypatch.setattr(augmentation, "TELEPHONES", telephones)


def response(sound: NDArray[np.float32], recorded: NDArray[np.float32]) -> NDArray[np.float64]:
    """Decibels that each octave from 125 Hz gained."""
    hertz = np.fft.rfftfreq(recorded.size, 1 / RATE)
    power = [np.abs(np.fft.rfft(each)) ** 2 for each in (sound, recorded)]
    octaves = [(hertz >= low) & (hertz < 2 * low) for low in (125, 250, 500, 1000, 2000, 4000)]
    found = [10 * np.log10(power[0][o].sum() / power[1][o].sum()) for o in octaves]
    return np.array(found)


def test_a_channel_is_constant_and_differs_from_others() -> None:
    for number in range(12):
        made = simulate_channel(NOISE, at(number))
        assert (made.dtype, made.size) == (np.float32, NOISE.size)
        assert np.isfinite(made).all()
        np.testing.assert_array_equal(made, simulate_channel(NOISE, at(number)))
        assert not np.array_equal(made, simulate_channel(NOISE, at(number + 1)))


def test_a_microphone_filters_and_keeps_time_and_level(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch)
    gains = []
    for number in range(40):
        made = simulate_channel(NOISE, at(number))
        assert np.sqrt(np.mean(made**2)) == pytest.approx(np.sqrt(np.mean(NOISE**2)), rel=1e-3)
        lag = np.correlate(made[4000:8000], NOISE[3900:8100]).argmax()
        assert abs(lag - 100) <= 1
        gains.append(response(made, NOISE))
    steps = np.diff(gains, axis=1)
    assert 0.5 * STEP < np.std(steps) < 1.5 * STEP
    assert np.abs(np.mean(gains, axis=0)).max() < 3.0  # none is favoured


def test_a_room_adds_reverberation(monkeypatch: pytest.MonkeyPatch) -> None:
    click = np.zeros(RATE, np.float32)
    click[1000] = 0.5
    for number in range(20):
        only(monkeypatch)
        dry = simulate_channel(click, at(number))
        only(monkeypatch, rooms=1.0)
        wet = simulate_channel(click, at(number))
        late = slice(1000 + 160, None)
        ratio = np.sum(np.square(dry)) / np.sum(np.square(wet[late]))
        assert np.sum(np.square(wet[late])) > 10 * np.sum(np.square(dry[late]))
        assert 10 * np.log10(ratio) > DIRECT[0] - 1.0
        assert np.abs(wet[:900]).max() < 1e-3  # nothing before the click


def test_a_telephone_line_has_256_levels_on_a_logarithmic_scale() -> None:
    """A ramp so slow that resampling does not change it: the quantization levels remain."""
    ramp = np.linspace(-1, 1, 10 * RATE)
    heard = augmentation._telephone(ramp)
    error = np.abs(heard - ramp)[RATE // 10 : -RATE // 10]
    inner = np.abs(ramp[RATE // 10 : -RATE // 10]) < 0.02
    assert 1e-5 < error[inner].max() < 1e-3
    assert 5e-3 < error[~inner].max() < 5e-2


def test_a_telephone_has_no_high_frequencies(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, telephones=1.0)
    made = simulate_channel(NOISE, at(3))
    spectrum = np.abs(np.fft.rfft(made)) ** 2
    hertz = np.fft.rfftfreq(made.size, 1 / RATE)
    assert spectrum[hertz > 4_200].sum() < 1e-4 * spectrum.sum()


@pytest.mark.parametrize("samples", [1, 40, 254, 16_000])
def test_silence_and_short_sounds(samples: int) -> None:
    for number in range(8):
        assert not simulate_channel(np.zeros(samples, np.float32), at(number)).any()
        assert simulate_channel(NOISE[:samples], at(number)).size == samples


def test_a_simulated_speaker_has_one_channel_and_recordings_are_unchanged() -> None:
    sound = NOISE[:RATE]
    assert simulated(sound, "any", 0, clip="a", augmentation=Augmentation(channel=True)) is sound
    coloured = []
    for clip in ("a", "b"):
        here = simulated(sound, "ravdess:01", 2, clip=clip, augmentation=Augmentation())
        there = simulated(
            sound, "ravdess:01", 2, clip=clip, augmentation=Augmentation(channel=True)
        )
        assert here.size == there.size
        assert np.abs(response(there, here)).max() > 0.5
        coloured.append(response(there, here))
    np.testing.assert_allclose(*coloured, atol=0.3)


def test_background_noise_has_one_colour_and_level_a_speaker_and_other_instants() -> None:
    silent = []
    for number in range(40):
        made = add_noise(NOISE, at(number), at(100))
        np.testing.assert_array_equal(made, add_noise(NOISE, at(number), at(100)))
        noise, other = made - NOISE, add_noise(NOISE, at(number), at(101)) - NOISE
        silent.append(not noise.any())
        if noise.any():
            ratio = 10 * np.log10(np.mean(NOISE**2) / np.mean(noise**2))
            assert SIGNAL_TO_NOISE[0] - 0.1 < ratio < SIGNAL_TO_NOISE[1] + 0.1
            assert abs(np.corrcoef(noise, other)[0, 1]) < 0.2
            assert np.abs(response(noise, other)).max() < 3.0
    assert 10 < sum(silent) < 30


@pytest.mark.parametrize("samples", [1, 40, 254])
def test_noise_over_silence_and_short_sounds(samples: int) -> None:
    for number in range(8):
        assert not add_noise(np.zeros(samples, np.float32), at(number), at(1)).any()
        assert np.isfinite(add_noise(NOISE[:samples], at(number), at(1))).all()
