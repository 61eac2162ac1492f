"""Timelines to one number: the emotion diarization error rate (EDER).

Source: Wang, Ravanelli, Nfissi & Yacoubi, "Speech Emotion Diarization: Which Emotion Appears
When?" (2023), section on the metric of the Zaion Emotion Dataset (ZED).
"""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from affekt.errors import LabelError


class Span(Protocol):
    """Anything with a start and an end in seconds and a label."""

    @property
    def start(self) -> float:
        """Seconds from the start of the recording."""

    @property
    def end(self) -> float:
        """Seconds, after ``start``."""

    @property
    def label(self) -> str:
        """Which emotion."""


@dataclass(frozen=True, slots=True)
class EmotionErrors:
    """How long which mistakes last.

    Attributes:
        false_alarm: seconds without emotion that were given one.
        missed: seconds with an emotion that were given none.
        confusion: seconds with an emotion that were given others only.
        overlap: seconds with one emotion that were given it and others too.
        seconds: how long the recording is.
    """

    false_alarm: float
    missed: float
    confusion: float
    overlap: float
    seconds: float

    @property
    def rate(self) -> float:
        """The EDER in [0, 1]: all mistakes over the whole recording."""
        return (self.false_alarm + self.missed + self.confusion + self.overlap) / self.seconds


def emotion_diarization_errors(
    reference: Iterable[Span],
    predicted: Iterable[Span],
    *,
    seconds: float,
    labels: Sequence[str],
    unemotional: Collection[str] = ("neutral",),
) -> EmotionErrors:
    """Measure a timeline against an annotated one.

    EDER = (false alarm + missed emotion + confusion + overlap) / duration of the recording.
    At each instant the emotions of either side are the labels of the spans that hold it, without
    the unemotional ones; time in no span is without emotion, like neutral speech.

    - False alarm: the reference has no emotion, the prediction has.
    - Missed emotion: the reference has an emotion, the prediction has none.
    - Confusion: both have, and none in common.
    - Overlap: the reference has one emotion only, the prediction has it and others.

    The sums are over time, not over spans, so touching and overlapping spans of one label are as
    one. Several recordings are measured together by adding their seconds.

    Args:
        reference: annotated spans, in any order.
        predicted: spans to judge, in any order.
        seconds: how long the recording is; no span may end later.
        labels: all labels of the task.
        unemotional: those that stand for no emotion.

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
        raise LabelError(f"seconds of a recording must be above 0. Got {seconds}.")
    truth = _checked(reference, "reference", seconds, labels, unemotional)
    guess = _checked(predicted, "predicted", seconds, labels, unemotional)
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


def _instants(truth: list[Span], guess: list[Span]) -> Iterator[tuple[float, set[str], set[str]]]:
    """Stretches of time in which neither side changes: length, and the emotions of both."""
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


def _checked(
    spans: Iterable[Span],
    side: str,
    seconds: float,
    labels: Sequence[str],
    unemotional: Collection[str],
) -> list[Span]:
    """The emotional spans."""
    kept = []
    for span in spans:
        if span.label not in labels:
            raise LabelError(
                f"labels of the {side} timeline must be in {list(labels)}. Got {span.label!r}."
            )
        if not 0 <= span.start <= span.end <= seconds + 1e-6:  # times are rounded in files
            raise LabelError(
                f"spans of the {side} timeline must lie in [0, {seconds}] s. "
                f"Got {span.start} to {span.end}."
            )
        if span.label not in unemotional:
            kept.append(span)
    return kept
