"""Check EDER by hand, against a frame-by-frame count, and by properties."""

from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.errors import LabelError
from affekt.evaluation.timeline_scoring import EmotionErrors, Span, emotion_diarization_errors

LABELS = ["angry", "happy", "sad", "neutral"]
At = namedtuple("At", "start end label")


def errors(truth: list[Span], guess: list[Span], seconds: float = 10) -> EmotionErrors:
    return emotion_diarization_errors(truth, guess, seconds=seconds, labels=LABELS)


# truth, guess -> false alarm, missed, confusion, overlap; all of 10 s
EXAMPLES = {
    "right": ([At(2, 6, "sad")], [At(2, 6, "sad")], (0, 0, 0, 0)),
    "nothing": ([], [], (0, 0, 0, 0)),
    "neutral is no emotion": ([], [At(0, 10, "neutral")], (0, 0, 0, 0)),
    "false alarm": ([At(0, 10, "neutral")], [At(2, 5, "happy")], (3, 0, 0, 0)),
    "missed": ([At(2, 6, "angry")], [At(5, 10, "neutral")], (0, 4, 0, 0)),
    "late by a second": ([At(2, 6, "angry")], [At(3, 7, "angry")], (1, 1, 0, 0)),
    "confusion": ([At(2, 6, "angry")], [At(2, 6, "happy")], (0, 0, 4, 0)),
    "overlap": ([At(2, 6, "sad")], [At(2, 6, "sad"), At(4, 6, "happy")], (0, 0, 0, 2)),
    "two wrong ones confuse once": (
        [At(2, 6, "sad")],
        [At(2, 6, "angry"), At(2, 6, "happy")],
        (0, 0, 4, 0),
    ),
    "one of two emotions at once": (
        [At(2, 6, "sad"), At(2, 6, "angry")],
        [At(2, 6, "sad")],
        (0, 0, 0, 0),
    ),
    "neutral beside an emotion changes nothing": (
        [At(0, 10, "neutral"), At(2, 6, "sad")],
        [At(2, 6, "sad"), At(0, 8, "neutral")],
        (0, 0, 0, 0),
    ),
    "spans that touch or overlap are one": (
        [At(1, 7, "sad")],
        [At(4, 7, "sad"), At(1, 4, "sad"), At(3, 5, "sad")],
        (0, 0, 0, 0),
    ),
    "all at once": (
        [At(0, 4, "angry"), At(6, 9, "sad")],
        [At(1, 3, "angry"), At(2, 3, "sad"), At(3, 5, "happy"), At(8, 9, "neutral")],
        (1, 1 + 3, 1, 1),
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_by_hand(name: str) -> None:
    truth, guess, expected = EXAMPLES[name]
    found = errors(truth, guess)
    assert (found.false_alarm, found.missed, found.confusion, found.overlap) == expected
    assert found.rate == pytest.approx(sum(expected) / 10)


def test_the_authors_example() -> None:
    """From the documentation of their implementation: frames of 0.2 s, neutral then angry."""
    guess = [At(0, 0.6, "neutral"), At(0.6, 1.2, "angry")]
    found = errors([At(0.39, 1.10, "angry")], guess, seconds=1.22)
    # theirs also counts the last 0.02 s, which no frame covers, as a mistake
    assert found.rate == pytest.approx(0.2704918032786885 - 0.02 / 1.22)


@pytest.mark.parametrize(
    ("truth", "guess", "seconds"),
    [
        ([At(0, 1, "bored")], [], 10),
        ([], [At(0, 1, "bored")], 10),
        ([At(0, 11, "sad")], [], 10),
        ([], [At(-1, 2, "sad")], 10),
        ([], [At(3, 2, "sad")], 10),
        ([], [At(float("nan"), 2, "sad")], 10),
        ([], [], 0),
        ([], [], float("inf")),
    ],
)
def test_what_cannot_be_measured(truth: list[Span], guess: list[Span], seconds: float) -> None:
    with pytest.raises(LabelError):
        errors(truth, guess, seconds)


timelines = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 40), st.sampled_from(LABELS)).map(
        lambda each: At(min(each[:2]), max(each[:2]), each[2])
    ),
    max_size=6,
)
quick = settings(max_examples=80)


@quick
@given(timelines, timelines)
def test_equals_counting_seconds(truth: list[Span], guess: list[Span]) -> None:
    counts = dict.fromkeys(("false_alarm", "missed", "confusion", "overlap"), 0)
    for second in range(40):
        here = [
            {each.label for each in side if each.start <= second < each.end} - {"neutral"}
            for side in (truth, guess)
        ]
        true, given = here
        counts["false_alarm"] += not true and bool(given)
        counts["missed"] += bool(true) and not given
        counts["confusion"] += bool(true and given) and not true & given
        counts["overlap"] += len(true) == 1 and true < given
    found = errors(truth, guess, 40)
    assert found == EmotionErrors(**counts, seconds=40)
    assert 0 <= found.rate <= 1


@quick
@given(timelines, timelines)
def test_rights_and_order(truth: list[Span], guess: list[Span]) -> None:
    assert errors(truth, truth, 40).rate == 0
    assert errors(truth[::-1], guess[::-1], 40) == errors(truth, guess, 40)
    both, other = errors(truth, guess, 40), errors(guess, truth, 40)
    assert both.confusion == other.confusion
    assert both.missed == other.false_alarm


@quick
@given(st.lists(st.tuples(*[st.sampled_from(LABELS)] * 2), min_size=1, max_size=30))
def test_single_labels_err_where_they_differ(pairs: list[tuple[str, str]]) -> None:
    truth, guess = (
        [At(at, at + 1, pair[side]) for at, pair in enumerate(pairs)] for side in (0, 1)
    )
    differ = np.mean([true != given for true, given in pairs])
    assert errors(truth, guess, len(pairs)).rate == pytest.approx(differ)
