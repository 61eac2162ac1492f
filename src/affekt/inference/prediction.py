"""Define the prediction of a recording and of each of its windows."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from affekt.inference.speech.quality import Quality

if TYPE_CHECKING:
    import pandas as pd

UNCERTAIN = "uncertain"  # the label where no emotion is probable enough


class Recognition:
    """What a prediction, a segment and an utterance have in common."""

    __slots__ = ()
    probabilities: dict[str, float]

    @property
    def confidence(self) -> float:
        """Probability of the most probable label, in [0, 1]."""
        return max(self.probabilities.values())

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON output prints them, without those that are None."""
        fields = asdict(self)  # type: ignore[call-overload]
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Segment(Recognition):
    """The emotion up to the end of one window.

    Args:
        start: where the window starts, seconds from the start of the sound.
        end: where it ends, seconds; never beyond the sound.
        label: the most probable label, or ``uncertain``.
        probabilities: of every label, in the model's order; their sum is 1.
        recent: the same with a short time constant, where the model has one.
        speech: share of speech in the new sound of the window, in [0, 1]; None if it is not
            measured.
        quality: of the sound so far, with a time constant of 10 s; None if it is not measured.
        reason: why the label is ``uncertain``, if the quality is not good enough.
        channel: from 0, of live sound with one speaker a channel; otherwise None.
    """

    start: float
    end: float
    label: str
    probabilities: dict[str, float]
    recent: dict[str, float] | None = None
    speech: float | None = None
    quality: Quality | None = None
    reason: str | None = None
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a long recording in which one emotion is strongest.

    Args:
        start: seconds from the start of the recording.
        end: seconds.
        label: the emotion.
        probability: its mean over the part, in [0, 1].
    """

    start: float
    end: float
    label: str
    probability: float


@dataclass(frozen=True, slots=True, repr=False)
class Prediction(Recognition):
    """The emotion of one sound.

    Args:
        file: name of the file as it was given; empty for bytes and arrays.
        duration: seconds of processed sound.
        label: the most probable label, or ``uncertain``.
        probabilities: of every label, in the model's order; their sum is 1. Above 30 s of sound,
            the share of speech in each emotion.
        segments: result of each window, given all windows before it.
        passages: above 30 s, where each emotion is strongest.
        quality: of the sound; None if it is not measured.
        reason: why the label is ``uncertain``, if the quality is not good enough.
    """

    file: str
    duration: float
    label: str
    probabilities: dict[str, float]
    segments: tuple[Segment, ...]
    passages: tuple[Passage, ...] = ()
    quality: Quality | None = None
    reason: str | None = None

    def __repr__(self) -> str:
        """One line: file, seconds, label, its probability."""
        return (
            f"<affekt.Prediction {self.file or 'of samples'}, {self.duration:.1f} s: "
            f"{self.label}, highest probability {self.confidence:.2f}>"
        )

    def as_dict(self) -> dict[str, Any]:
        """The fields as ``affekt predict --json`` prints them, without those that are None."""
        given = asdict(self)
        given["segments"] = [segment.as_dict() for segment in self.segments]
        given["passages"] = [asdict(passage) for passage in self.passages] or None
        return {name: value for name, value in given.items() if value is not None}

    def to_frame(self) -> "pd.DataFrame":
        """One row a window, by file, start and end; see :func:`affekt.to_frame`."""
        from affekt.inference.timelines.frames import segments_frame

        return segments_frame(self)

    def _repr_html_(self) -> str:
        """A bar for each label, for notebooks."""
        from affekt.inference.timelines.drawing import draw_prediction

        return draw_prediction(self)


def label_of(
    probabilities: Mapping[str, float], min_confidence: float = 0.0, reason: str | None = None
) -> str:
    """The most probable label; ``uncertain`` for a reason, or where none is probable enough.

    >>> label_of({"angry": 0.4, "sad": 0.6}), label_of({"angry": 0.4, "sad": 0.6}, 0.7)
    ('sad', 'uncertain')
    """
    label = max(probabilities, key=probabilities.__getitem__)
    return UNCERTAIN if reason or probabilities[label] < min_confidence else label
