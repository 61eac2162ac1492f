"""Test that resampling does not depend on the chunks, or on moving a resampler."""

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.audio.resampling import Resampler

RATES = (1_000, 7_919, 8_000, 11_025, 22_050, 44_100, 48_000, 96_000)


def noise(rate: int, seconds: float) -> np.ndarray:
    return np.random.default_rng(3).normal(size=int(rate * seconds)).astype(np.float32) * 0.2


@settings(max_examples=40)
@given(rate=st.sampled_from(RATES), cuts=st.lists(st.floats(0, 1), max_size=12))
def test_cuts_change_nothing(rate: int, cuts: list[float]) -> None:
    sound = noise(rate, 1.7)
    resampler = Resampler(rate)
    chunks = np.split(sound, sorted(int(cut * sound.size) for cut in cuts))
    found = np.concatenate([*map(resampler.push, chunks), resampler.end()])
    np.testing.assert_array_equal(found, soxr.resample(sound, rate, 16_000, quality="HQ"))
    assert resampler.given == found.size


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("seconds", [0.0, 0.3, 1.999, 2.0, 2.001, 3.0, 5.4])
def test_another_resampler_goes_on(rate: int, seconds: float) -> None:
    sound = noise(rate, 7.1)
    at = int(seconds * rate)
    first, second = Resampler(rate), Resampler(rate)
    before = [first.push(chunk) for chunk in np.array_split(sound[:at], 9)]
    assert first.replay.size <= 2 * rate
    late = second.catch_up(first.replay, second=first.second, given=first.given)
    found = np.concatenate([*before, late, second.push(sound[at:]), second.end()])
    expected = soxr.resample(sound, rate, 16_000, quality="HQ")
    np.testing.assert_allclose(found, expected, atol=3e-6)
