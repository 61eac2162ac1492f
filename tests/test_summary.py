"""Test how long recordings are summarized."""

import numpy as np
import pytest
from numpy.typing import NDArray

import affekt
from affekt.inference.prediction import Segment
from affekt.inference.summary import LONG, mean_probabilities, strongest_passages
from conftest import SAMPLES

RATE = 16_000


def segment(number: int, angry: float, speech: float | None = 1.0) -> Segment:
    shares = {"angry": angry, "sad": 1 - angry}
    return Segment(
        0.96 * number, 0.96 * (number + 1), "sad", {"angry": 0, "sad": 1}, shares, speech
    )


def repeated(seconds: float) -> NDArray[np.float32]:
    parts = [affekt.read(SAMPLES / name) for name in ("lively.flac", "slow.flac", "calm.flac")]
    sound = np.concatenate(parts)
    return np.tile(sound, 9)[: round(seconds * RATE)]


def test_the_mean_is_weighted_by_speech() -> None:
    segments = [segment(0, 0.9), segment(1, 0.1, 0.0), segment(2, 0.5, 0.5)]
    found = mean_probabilities(segments)
    assert found["angry"] == pytest.approx((0.9 + 0.25) / 1.5)
    assert sum(found.values()) == pytest.approx(1)
    silent = [segment(0, 0.2, 0.0), segment(1, 0.4, 0.0)]
    assert mean_probabilities(silent)["angry"] == pytest.approx(0.3)
    unmeasured = [segment(0, 0.2, None), segment(1, 0.4, None)]
    assert mean_probabilities(unmeasured)["angry"] == pytest.approx(0.3)


def test_passages_are_where_an_emotion_is_strongest() -> None:
    shares = [0.1] * 20 + [0.8] * 5 + [0.3] * 20
    (sad, angry) = strongest_passages([segment(i, share) for i, share in enumerate(shares)])
    assert (angry.label, angry.start, angry.end) == ("angry", 0.96 * 20, pytest.approx(0.96 * 25))
    assert angry.probability == pytest.approx(0.8)
    assert (sad.label, sad.start) == ("sad", 0.0)
    assert strongest_passages([segment(i, 0.1) for i in range(9)])[0].label == "sad"
    assert len(strongest_passages([segment(i, 0.1) for i in range(9)])) == 1
    assert strongest_passages([segment(0, 0.1)]) == ()


def test_a_long_recording_is_not_answered_by_its_end() -> None:
    predictor = affekt.load()
    sound = repeated(60.0)
    found = predictor.predict(sound, sample_rate=RATE)
    assert found.duration > LONG
    assert found.probabilities == mean_probabilities(found.segments)
    assert found.probabilities != found.segments[-1].probabilities
    assert found.passages
    assert found.as_dict()["passages"][0]["label"] == found.passages[0].label
    assert [each.speech for each in found.segments if each.speech is None] == []
    short = predictor.predict(sound[: 20 * RATE], sample_rate=RATE)
    assert short.probabilities == short.segments[-1].probabilities
    assert "passages" not in short.as_dict()
