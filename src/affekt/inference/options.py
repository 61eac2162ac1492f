"""Name the options of predictions and timelines, with their types."""

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from affekt.inference.timeline import Watch


class Part(TypedDict, total=False):
    """Which part of a recording to use; see :meth:`affekt.Predictor.predict`."""

    sample_rate: int | None
    channel: int | None
    start: float
    end: float | None


class TimelineOptions(Part, total=False):
    """Options of :meth:`affekt.Predictor.timeline`."""

    time_constant: float
    watch: "Watch | None"
