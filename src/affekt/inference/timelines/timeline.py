"""Define the utterances of a recording, and smooth their probabilities.

Probabilities are averaged with those of earlier utterances of the same speaker, weighted by
duration, with a time constant of 4 s, about the length of an expression of emotion. Later
utterances have no influence.

Source: duration of expressions: Ekman, "Expression and the Nature of Emotion" (1984).
"""

import math
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from affekt.inference.prediction import Recognition, label_of
from affekt.inference.speech.quality import Quality
from affekt.inference.speech.vad import CHUNK_SECONDS, LONGEST
from affekt.inference.timelines.rttm import Turn

if TYPE_CHECKING:
    import pandas as pd

TIME_CONSTANT = 4.0  # s: speech this long ago weighs 1/e of what it weighs now
Watch = Callable[[NDArray[np.float32]], None]


@dataclass(frozen=True, slots=True)
class Utterance(Recognition):
    """The emotion of the speech between two pauses.

    Args:
        file: name of the file as it was given; empty for bytes and arrays.
        start: seconds from the start of the recording.
        end: seconds; at most ten after ``start``.
        label: the most probable label, or ``uncertain``.
        probabilities: of every label, in the model's order; their sum is 1.
        speech: share of the time with speech, in [0, 1].
        quality: of the utterance with its context; None if it is not measured.
        reason: why the label is ``uncertain``, if the quality is not good enough.
        speaker: name of the speaker; None if speakers are not distinguished.
        channel: that was processed, from 0; None for the mean of all.
    """

    file: str
    start: float
    end: float
    label: str
    probabilities: dict[str, float]
    speech: float
    quality: Quality | None = None
    reason: str | None = None
    speaker: str | None = None
    channel: int | None = None


class Timeline(Iterator[Utterance]):
    """An iterator over the utterances of a recording, which are recognized when they are taken.

    A drawing or a table shows those that were not taken yet, and takes none.
    """

    def __init__(self, utterances: Iterable[Utterance], labels: Sequence[str]) -> None:
        self._utterances, self._labels = iter(utterances), tuple(labels)

    def __next__(self) -> Utterance:
        """Take the next utterance."""
        return next(self._utterances)

    def to_frame(self) -> "pd.DataFrame":
        """One row an utterance, by file, start and end; see :func:`affekt.to_frame`."""
        from affekt.inference.timelines.frames import utterances_frame

        return utterances_frame(self._rest(), self._labels)

    def _repr_html_(self) -> str:
        """A row for each label, for notebooks."""
        from affekt.inference.timelines.drawing import draw_timeline

        return draw_timeline(self._rest(), self._labels)

    def _rest(self) -> tuple[Utterance, ...]:
        """Recognize the remaining utterances, and store them for the iterator."""
        rest = tuple(self._utterances)
        self._utterances = iter(rest)
        return rest


def fill_turns(utterances: Iterable[Utterance], turns: Sequence[Turn]) -> Iterator[Utterance]:
    """Extend utterances to the ends of their turns, or to the next utterance within a turn.

    A diarization finds soft speech too, on which no emotion is recognized. Utterances and turns
    are of the same speakers and in order. Turns do not overlap. Utterances may, by the 32 ms that
    are added on both sides; the extended ones overlap no more, and have at most ten seconds.
    """
    starts = [turn.start for turn in turns]
    inside = 1.5 * CHUNK_SECONDS  # from the ends of an utterance to the middle of speech

    def turn_at(seconds: float) -> Turn:
        return turns[max(0, bisect(starts, seconds) - 1)]

    def extended(given: Utterance, after: float, before: float) -> Utterance:
        longest = LONGEST * CHUNK_SECONDS
        start = max(turn_at(given.start + inside).start, after, given.end - longest)
        start = min(start, given.start)
        end = min(turn_at(given.end - inside).end, before, start + longest)
        end = max(end, given.end)
        share = given.speech * (given.end - given.start) / (end - start)
        return replace(given, start=start, end=end, speech=share)

    last, end = None, 0.0
    for utterance in utterances:
        if last:
            yield (done := extended(last, end, utterance.start))
            end = done.end
        last = utterance
    if last:
        yield extended(last, end, math.inf)


class Smoother:
    """Average probabilities with those of earlier utterances.

    A leaky integrator of the probabilities over speech, read at the end of every utterance.

    Args:
        time_constant: seconds after which evidence weighs 1/e; 0 averages nothing.
        min_confidence: probability below which the label is ``uncertain``.
    """

    def __init__(self, time_constant: float, min_confidence: float) -> None:
        self._time_constant, self._min_confidence = time_constant, min_confidence
        self._evidence, self._before = np.zeros(1), 0.0

    def push(self, utterance: Utterance) -> Utterance:
        """Take the next utterance; return it with averaged probabilities and their label."""
        if not self._time_constant:
            return utterance
        own = np.array([*utterance.probabilities.values()])
        past = math.exp((self._before - utterance.end) / self._time_constant)
        new = -math.expm1((utterance.start - utterance.end) / self._time_constant)
        self._evidence, self._before = self._evidence * past + new * own, utterance.end
        averaged = (self._evidence / self._evidence.sum()).tolist()
        shares = dict(zip(utterance.probabilities, averaged, strict=True))
        label = label_of(shares, self._min_confidence, utterance.reason)
        return replace(utterance, label=label, probabilities=shares)
