"""Test 64 simultaneous streams of 10 s on two cores: real time, and independent results.

The tests of a stream have 64 streams of a minute, with a small model.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import affekt
from affekt.audio.reading import read

# The cores may have other work; what counts is the time that this test was given of them.
SAMPLES = Path(__file__).parents[1] / "samples"
RATE = 16_000
STREAMS, CORES = 64, 2
SECONDS = 10
CHUNK = RATE // 10  # 100 ms: what a microphone gives at a time


@pytest.fixture(scope="module")
def predictor() -> affekt.Predictor:
    return affekt.load()


def talk(voice: int) -> np.ndarray:
    """Talk unlike any other's: the samples in an order, at a level, over a noise."""
    rng = np.random.default_rng(voice)
    sayings = [read(path) for path in sorted(SAMPLES.glob("*.flac"))]
    said = [sayings[number] for number in rng.integers(len(sayings), size=6)]
    sound = np.concatenate(said)[: SECONDS * RATE] * rng.uniform(0.3, 1.2)
    return (sound + rng.normal(scale=0.003, size=sound.size)).astype(np.float32)


def denied() -> float:
    """Seconds for which this thread could have run, had others not been on the cores."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except OSError:  # not a Linux
        return 0.0


def hear(
    predictor: affekt.Predictor, voices: list[np.ndarray]
) -> tuple[list[list[affekt.Segment]], float]:
    """Seconds of sound that one core processes, 100 ms of each stream in turn, and its time."""
    streams = [predictor.stream() for _ in voices]
    heard: list[list[affekt.Segment]] = [[] for _ in voices]
    began = time.monotonic() - denied()
    for at in range(0, SECONDS * RATE, CHUNK):
        for stream, voice, segments in zip(streams, voices, heard, strict=True):
            segments += stream.push(voice[at : at + CHUNK])
    for stream, segments in zip(streams, heard, strict=True):
        segments += stream.flush()
    return heard, time.monotonic() - denied() - began


def test_64_streams_keep_up_and_equal_single_ones(predictor: affekt.Predictor) -> None:
    voices = [talk(voice) for voice in range(STREAMS)]
    with ThreadPoolExecutor(CORES) as pool:
        halves = [*pool.map(lambda core: hear(predictor, voices[core::CORES]), range(CORES))]
        alone = [*pool.map(lambda voice: predictor.predict(voice, sample_rate=RATE), voices)]
    heard = [
        segments for pair in zip(*(half for half, _ in halves), strict=True) for segments in pair
    ]
    assert max(seconds for _, seconds in halves) < SECONDS
    assert len({segments[-1].probabilities["angry"] for segments in heard}) == STREAMS
    for segments, truth in zip(heard, (each.segments for each in alone), strict=True):
        assert len(segments) >= SECONDS
        assert [(s.start, s.end) for s in segments] == [(s.start, s.end) for s in truth]
        found, expected = (
            [[*s.probabilities.values()] for s in each] for each in (segments, truth)
        )
        np.testing.assert_allclose(found, expected, atol=1e-4)
