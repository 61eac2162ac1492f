"""Score diarizations by the diarization error rate (DER).

Source: NIST, "The 2009 Rich Transcription Evaluation Plan", section 6; speakers are mapped one to
one by the Hungarian method. Time is counted in steps of 10 ms.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from affekt import Turn

COLLAR = 0.25  # s: around each boundary of the reference, not scored
STEP = 0.01  # s


@dataclass(frozen=True, slots=True)
class DiarizationErrors:
    """Durations of the errors of a diarization.

    Attributes:
        missed: seconds of speech for which no speaker was found.
        false_alarm: seconds of a speaker where there was none.
        confusion: seconds of a wrong speaker.
        seconds: of speech in the reference; those of two speakers at once count twice.
        mapping: speaker of the reference for each speaker found, if there is one.
    """

    missed: float
    false_alarm: float
    confusion: float
    seconds: float
    mapping: dict[str | None, str | None]

    @property
    def rate(self) -> float:
        """The DER: duration of all errors divided by that of the speech."""
        return (self.missed + self.false_alarm + self.confusion) / self.seconds


def diarization_errors(
    reference: Sequence[Turn], found: Sequence[Turn], *, collar: float = COLLAR
) -> DiarizationErrors:
    """Measure the errors of a diarization against a reference with speech.

    Args:
        reference: turns, or other time spans with a speaker.
        found: likewise.
        collar: seconds around each boundary of the reference that are not scored.

    Returns:
        The parts in seconds; :attr:`DiarizationErrors.rate` is the DER.

    >>> from collections import namedtuple
    >>> span = namedtuple("span", "start end speaker")
    >>> true = [span(0, 4, "a"), span(5, 9, "b")]
    >>> errors = diarization_errors(true, [span(0, 6, "x"), span(6, 9, "y")], collar=0.0)
    >>> errors.confusion, errors.false_alarm, errors.rate, errors.mapping
    (1.0, 1.0, 0.25, {'x': 'a', 'y': 'b'})
    """
    steps = round(max(span.end for span in [*reference, *found]) / STEP) + 1
    true, truth = _activity(reference, steps)
    given, guess = _activity(found, steps)
    scored = np.ones(steps, bool)
    for span in reference:
        for boundary in (span.start, span.end):
            first = round((boundary - collar) / STEP)
            scored[max(0, first) : round((boundary + collar) / STEP)] = False
    truth, guess = truth[:, scored].astype(np.int32), guess[:, scored].astype(np.int32)
    common = truth @ guess.T
    rows, columns = linear_sum_assignment(common, maximize=True)
    pairs = [(a, b) for a, b in zip(rows, columns, strict=True) if common[a, b]]
    correct = sum((truth[a] * guess[b] for a, b in pairs), np.zeros(truth.shape[1], np.int32))
    spoken, answered = truth.sum(axis=0), guess.sum(axis=0)
    mapping: dict[str | None, str | None] = dict.fromkeys(given)
    mapping |= {given[b]: true[a] for a, b in pairs}

    def seconds(counts: NDArray[np.int32]) -> float:
        return round(float(counts.sum()) * STEP, 3)

    return DiarizationErrors(
        missed=seconds(np.maximum(spoken - answered, 0)),
        false_alarm=seconds(np.maximum(answered - spoken, 0)),
        confusion=seconds(np.minimum(spoken, answered) - correct),
        seconds=seconds(spoken),
        mapping=mapping,
    )


def _activity(spans: Sequence[Turn], steps: int) -> tuple[list[str | None], NDArray[np.bool_]]:
    """The speakers, and ``(speakers, steps)`` which of them speaks when."""
    speakers = [*dict.fromkeys(span.speaker for span in spans)]
    active = np.zeros((len(speakers), steps), bool)
    for span in spans:
        active[speakers.index(span.speaker), round(span.start / STEP) : round(span.end / STEP)] = 1
    return speakers, active
