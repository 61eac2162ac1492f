"""Score timelines by the emotion diarization error rate (EDER).

Source: Wang, Ravanelli, Nfissi & Yacoubi, "Speech Emotion Diarization: Which Emotion Appears
When?" (2023), section on the metric of the Zaion Emotion Dataset (ZED).
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from affekt.errors import LabelError

UNEMOTIONAL = "neutral"


class Span(Protocol):
    """A time span of a recording, with a label."""

    @property
    def start(self) -> float:
        """Seconds from the start of the recording."""

    @property
    def end(self) -> float:
        """Seconds, after ``start``."""

    @property
    def label(self) -> str:
        """Name of the emotion."""


@dataclass(frozen=True, slots=True)
class EmotionErrors:
    """Durations of the errors of a timeline."""

    false_alarm: float  #: seconds without emotion in the reference and with one in the prediction
    missed: float  #: seconds with an emotion in the reference and with none in the prediction
    confusion: float  #: seconds in which both have emotions, and none in common
    #: seconds with one emotion in the reference, and it and others in the prediction
    overlap: float
    seconds: float  #: duration of the recording

    @property
    def rate(self) -> float:
        """The EDER in [0, 1]: duration of all errors divided by that of the recording."""
        return (self.false_alarm + self.missed + self.confusion + self.overlap) / self.seconds


def emotion_diarization_errors(
    reference: Iterable[Span], predicted: Iterable[Span], *, seconds: float, labels: Sequence[str]
) -> EmotionErrors:
    """Measure the errors of a timeline against a reference annotation.

    EDER = (false alarm + missed emotion + confusion + overlap) / duration of the recording.
    The emotions at an instant are the labels of all spans around it, without ``neutral``;
    time outside of all spans has no emotion, like neutral speech.

    Touching and overlapping spans of one label count once. Add the seconds of several recordings
    to score them together.

    Args:
        seconds: duration of the recording; no span may end later.

    Returns:
        The four parts in seconds; :attr:`EmotionErrors.rate` is the EDER.

    Raises:
        LabelError: a label outside ``labels``, or a span outside the recording.

    Source: the paper and its authors' description of the four parts; the denominator is the
    whole recording, emotional or not, as in their implementation.

    >>> from collections import namedtuple
    >>> span = namedtuple("span", "start end label")
    >>> errors = emotion_diarization_errors(
    ...     [span(1, 5, "angry")], [span(2, 6, "angry")], seconds=8, labels=["angry", "neutral"]
    ... )
    >>> errors.missed, errors.false_alarm, errors.rate
    (1.0, 1.0, 0.25)
    """
    if not (math.isfinite(seconds) and seconds > 0):
        raise LabelError(
            f"seconds of a recording must be above 0. Got {seconds}. Pass its duration."
        )

    def emotional(spans: Iterable[Span], side: str) -> Iterator[Span]:
        for span in spans:
            if span.label not in labels:
                raise LabelError(
                    f"labels of the {side} timeline must be in {list(labels)}. "
                    f"Got {span.label!r}. Rename it, or pass it in labels."
                )
            if not 0 <= span.start <= span.end <= seconds + 1e-6:  # times are rounded in files
                raise LabelError(
                    f"spans of the {side} timeline must lie in [0, {seconds}] s. "
                    f"Got {span.start} to {span.end}. Correct its times."
                )
            if span.label != UNEMOTIONAL:
                yield span

    truth, guess = emotional(reference, "reference"), emotional(predicted, "predicted")
    sums = {"false_alarm": 0.0, "missed": 0.0, "confusion": 0.0, "overlap": 0.0}
    for length, true, given in _instants(truth, guess):
        if mistake := _mistake(true, given):
            sums[mistake] += length
    return EmotionErrors(**sums, seconds=seconds)


def _mistake(true: set[str], given: set[str]) -> str:
    if not true:
        return "false_alarm" if given else ""
    if not given:
        return "missed"
    if not true & given:
        return "confusion"
    return "overlap" if len(true) == 1 and given != true else ""


def _instants(
    truth: Iterable[Span], guess: Iterable[Span]
) -> Iterator[tuple[float, set[str], set[str]]]:
    """Spans of time without a change on either side: length, and the emotions of both."""
    changes = sorted(
        (time, side, step, span.label)
        for side, spans in enumerate((truth, guess))
        for span in spans
        for time, step in ((span.start, 1), (span.end, -1))
    )
    active: tuple[dict[str, int], dict[str, int]] = {}, {}
    for (time, side, step, label), (following, *_) in pairwise(changes):
        active[side][label] = active[side].get(label, 0) + step
        true, given = ({name for name, spans in each.items() if spans} for each in active)
        yield following - time, true, given
