"""MFCC and GTCC: golden values, and what must hold for any sound."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from affekt.audio.cepstra import (
    COEFFICIENTS,
    ENERGY_FLOOR,
    cepstra,
    clip_features,
    gammatone_bands,
    statistics,
)
from affekt.audio.windows import FFT, MEL_BANDS, SAMPLE_RATE, WINDOW

CEPSTRA = {kind: partial(cepstra, kind=kind) for kind in ("mfcc", "gtcc")}
each = pytest.mark.parametrize("cepstra", CEPSTRA)


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).parent / "golden" / "cepstra" / "cepstra.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def voice(golden):
    return (golden["pcm"] / 32768).astype(np.float32)


@each
def test_cepstra_equal_the_definition(cepstra, golden, voice):
    assert_allclose(CEPSTRA[cepstra](voice), golden[cepstra], atol=1e-4)


def test_deltas_are_slopes_over_nine_frames(golden, voice):
    _, deviations = clip_features(voice, "mfcc").reshape(2, 3, COEFFICIENTS)
    assert_allclose(deviations[1], golden["mfcc_delta"].std(axis=0), atol=1e-4)


def test_gammatone_bands_agree_with_another_approximation(golden):
    bands, centres = gammatone_bands(), gammatone_bands().argmax(axis=1) * SAMPLE_RATE / FFT
    below = centres < 6_000
    assert bands.shape == (MEL_BANDS, FFT // 2 + 1)
    assert below.sum() > 50
    peaks = bands.max(axis=1, keepdims=True)
    assert_allclose((bands / peaks)[below], golden["gammatone_spafe"][below], atol=0.005)


@each
def test_frames_are_those_of_the_front_end(cepstra, voice):
    window = np.resize(voice, WINDOW)
    frames = CEPSTRA[cepstra](window)
    assert frames.shape == (96, COEFFICIENTS)
    # the third frame by itself: samples 320 to 720
    assert_allclose(CEPSTRA[cepstra](window[320:720])[0], frames[2], atol=1e-3)


@each
@settings(max_examples=10)
@given(gain=st.floats(0.25, 4.0), seed=st.integers(0, 9))
def test_gain_moves_only_the_first_coefficient(cepstra, gain, seed):
    noise = np.random.default_rng(seed).normal(scale=0.1, size=4_000).astype(np.float32)
    plain, louder = CEPSTRA[cepstra](noise), CEPSTRA[cepstra](np.float32(gain) * noise)
    assert_allclose(louder[:, 1:], plain[:, 1:], atol=1e-3)
    shift = 2 * np.log(gain) * np.sqrt(MEL_BANDS)  # of log power, orthonormal transform
    assert_allclose(louder[:, 0] - plain[:, 0], shift, atol=1e-3)


@each
def test_silence_is_the_floor(cepstra):
    frames = CEPSTRA[cepstra](np.zeros(8_000, np.float32))
    assert_allclose(frames[:, 0], np.log(ENERGY_FLOOR) * np.sqrt(MEL_BANDS), rtol=1e-5)
    assert_allclose(frames[:, 1:], 0, atol=1e-3)
    _, deviations = clip_features(np.zeros(8_000, np.float32), cepstra).reshape(2, -1)
    assert_allclose(deviations, 0, atol=1e-3)


@each
@settings(max_examples=15)
@given(samples=st.integers(1, 3_000), level=st.sampled_from([0.0, 1e-6, 0.1, 1.0]))
def test_any_length_and_level_gives_finite_features(cepstra, samples, level):
    noise = np.random.default_rng(samples).uniform(-level, level, samples).astype(np.float32)
    features = clip_features(noise, cepstra)
    assert features.shape == (2 * 3 * COEFFICIENTS,)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()


@each
def test_features_begin_with_the_statistics_of_the_coefficients(cepstra, voice):
    means, deviations = clip_features(voice, cepstra).reshape(2, 3, COEFFICIENTS)
    frames = CEPSTRA[cepstra](voice)
    assert_allclose(means[0], frames.mean(axis=0), atol=1e-4)
    assert_allclose(deviations[0], frames.std(axis=0), atol=1e-4)


def test_the_input_is_not_changed(voice):
    before = voice.copy()
    clip_features(voice, "gtcc")
    assert_array_equal(voice, before)


def test_statistics_of_one_row_do_not_vary():
    assert statistics(np.array([[3.0, 5.0]], np.float32)).tolist() == [3.0, 5.0, 0.0, 0.0]
