"""Recognize the emotion of every utterance of a recording.

Every utterance is processed by itself, with 0.25 s of context on both sides. Its probabilities are
averaged with those of earlier utterances, weighted by duration, with a time constant of 4 s, about
the length of an expression of emotion. Later utterances have no influence.

Source: duration of expressions: Ekman, "Expression and the Nature of Emotion" (1984).
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from affekt.audio.reading import blocks
from affekt.audio.sources import Source, source_file
from affekt.audio.windows import SAMPLE_RATE
from affekt.errors import AudioError
from affekt.inference.prediction import label_of
from affekt.inference.quality import Quality, QualityLimits, quality_of_speech
from affekt.inference.stream import Stream
from affekt.inference.vad import (
    CHUNK,
    LONGEST,
    PAUSE,
    find_speech,
    speech_probabilities,
)

if TYPE_CHECKING:
    import pandas as pd

TIME_CONSTANT = 4.0  # s: speech this long ago weighs 1/e of what it weighs now
MAX_SECONDS = 30 * 24 * 3600.0  # s: a month; the memory does not grow
Watch = Callable[[NDArray[np.float32]], None]


@dataclass(frozen=True, slots=True)
class Utterance:
    """The emotion of the speech between two pauses.

    Args:
        file: name of the file as it was given; empty for bytes and arrays.
        start: seconds from the start of the recording.
        end: seconds; at most ten after ``start``.
        label: the most probable label, or ``uncertain``.
        probabilities: of every label, in the model's order; their sum is 1.
        speech: share of the time that holds speech, in [0, 1].
        quality: of the utterance with its context; None if it is not measured.
        reason: why the label is ``uncertain``, if the quality is not good enough.
    """

    file: str
    start: float
    end: float
    label: str
    probabilities: dict[str, float]
    speech: float
    quality: Quality | None = None
    reason: str | None = None

    @property
    def confidence(self) -> float:
        """Probability of the most probable label, in [0, 1]."""
        return max(self.probabilities.values())

    def as_dict(self) -> dict[str, Any]:
        """The fields as ``affekt predict --timeline --json`` prints them, without None."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class Timeline(Iterator[Utterance]):
    """The utterances of a recording, recognized while they are taken.

    A notebook draws those that were not taken yet. Neither a drawing nor a table takes any.

    Args:
        utterances: in order.
        labels: of the model.
    """

    def __init__(self, utterances: Iterable[Utterance], labels: Sequence[str]) -> None:
        self._utterances, self._labels = iter(utterances), tuple(labels)

    def __iter__(self) -> Self:
        """The timeline itself: each utterance is taken once."""
        return self

    def __next__(self) -> Utterance:
        """Take the next utterance."""
        return next(self._utterances)

    def to_frame(self) -> "pd.DataFrame":
        """One row an utterance, by file, start and end; see :func:`affekt.to_frame`."""
        from affekt.inference.frames import utterances_frame

        return utterances_frame(self._rest(), self._labels)

    def _repr_html_(self) -> str:
        """A row for each label, for notebooks."""
        from affekt.inference.drawing import draw_timeline

        return draw_timeline(self._rest(), self._labels)

    def _rest(self) -> tuple[Utterance, ...]:
        """Recognize what is left, and keep it for those who take it later."""
        rest = tuple(self._utterances)
        self._utterances = iter(rest)
        return rest


def timeline(
    stream: Stream,
    source: Source,
    *,
    sample_rate: int | None = None,
    channel: int | None = None,
    start: float = 0.0,
    end: float | None = None,
    time_constant: float = TIME_CONSTANT,
    watch: Watch | None = None,
    limits: QualityLimits | None = None,
) -> Iterator[Utterance]:
    """Recognize the emotion of every utterance; see :meth:`affekt.Predictor.timeline`.

    Args:
        stream: of the model, at 16 kHz; it processes one utterance after the other. Its own
            quality limits should be None: speech is detected here.
        source: as for :func:`affekt.read`, like the four that follow.
        sample_rate: Hz, for an array only.
        channel: to use, from 0; the mean of all by default.
        start: seconds at which to begin.
        end: seconds at which to stop.
        time_constant: of the smoothing, in seconds; 0 for none.
        watch: called with every block of samples.
        limits: of the quality below which an utterance is ``uncertain``; None measures none.

    Returns:
        Utterances as they end.

    Raises:
        AudioError: as :func:`affekt.read`, or a time constant out of range.
        ModelError: the model cannot run.
    """
    if not (math.isfinite(time_constant) and time_constant >= 0):
        raise AudioError(
            f"time_constant of a timeline must be seconds, at least 0. Got {time_constant}."
        )
    sound = blocks(
        source,
        sample_rate=sample_rate,
        channel=channel,
        start=start,
        end=end,
        max_seconds=MAX_SECONDS,
    )
    answers = _answers(stream, _spoken(_watched(sound, watch)), limits)
    if time_constant:
        answers = smoothed(
            answers, time_constant=time_constant, min_confidence=stream.min_confidence
        )
    name = source_file(source)
    return (replace(u, file=name, start=u.start + start, end=u.end + start) for u in answers)


def smoothed(
    utterances: Iterable[Utterance], *, time_constant: float, min_confidence: float = 0.0
) -> Iterator[Utterance]:
    """Average probabilities with those of earlier utterances.

    A leaky integrator of the probabilities over speech, read at the end of every utterance.

    Args:
        utterances: in order and apart.
        time_constant: seconds above 0 after which evidence weighs 1/e.
        min_confidence: probability below which the label is ``uncertain``.

    Yields:
        The same utterances, with averaged probabilities and their label.
    """
    evidence, before = np.zeros(0), 0.0
    for utterance in utterances:
        own = np.array([*utterance.probabilities.values()])
        evidence = np.zeros_like(own) if not evidence.size else evidence
        evidence *= math.exp((before - utterance.end) / time_constant)
        evidence -= math.expm1((utterance.start - utterance.end) / time_constant) * own
        before = utterance.end
        shares = dict(
            zip(utterance.probabilities, (evidence / evidence.sum()).tolist(), strict=True)
        )
        label = label_of(shares, min_confidence, utterance.reason)
        yield replace(utterance, label=label, probabilities=shares)


def _watched(
    sound: Iterable[NDArray[np.float32]], watch: Watch | None
) -> Iterator[NDArray[np.float32]]:
    for block in sound:
        if watch:
            watch(block)
        yield block


@dataclass(frozen=True, slots=True)
class _Spoken:
    """A stretch of speech: its first and last sample, and the samples to process."""

    start: int
    end: int
    share: float
    samples: NDArray[np.float32]
    quality: Quality


def _spoken(sound: Iterable[NDArray[np.float32]]) -> Iterator[_Spoken]:
    """Cut the speech out of a sound; memory is bounded by the longest stretch."""
    recent: deque[tuple[NDArray[np.float32], float]] = deque(maxlen=LONGEST + PAUSE)
    chunks = samples = 0

    def probabilities() -> Iterator[float]:
        nonlocal chunks, samples
        for chunk, probability in speech_probabilities(sound):
            recent.append((chunk, probability))
            chunks += 1
            samples += chunk.size
            yield probability

    for speech in find_speech(probabilities()):
        end = min(speech.end * CHUNK, samples)  # the last chunk of a sound may be cut short
        oldest = chunks - len(recent)
        context = [*recent][speech.context_start - oldest : speech.context_end - oldest]
        sound = np.concatenate([chunk for chunk, _ in context])
        quality = quality_of_speech(sound, [probability for _, probability in context])
        yield _Spoken(speech.first * CHUNK, end, speech.share, sound, quality)


def _answers(
    stream: Stream, stretches: Iterable[_Spoken], limits: QualityLimits | None
) -> Iterator[Utterance]:
    for spoken in stretches:
        shares = stream.flush(spoken.samples)[-1].probabilities
        start, end = spoken.start / SAMPLE_RATE, spoken.end / SAMPLE_RATE
        reason = limits.reason(spoken.quality) if limits else None
        label = label_of(shares, stream.min_confidence, reason)
        quality = spoken.quality if limits else None
        yield Utterance("", start, end, label, shares, spoken.share, quality, reason)
