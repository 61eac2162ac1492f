"""Define the types of the options of predictions and timelines."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from affekt.audio.reading import Channel, Span
from affekt.inference.profile import Profile
from affekt.inference.timelines.rttm import Turn
from affekt.inference.timelines.timeline import Watch

Speakers = int | str | Path | Sequence[Turn] | None  # a str: "auto", or an RTTM file


class Part(Span, total=False):
    """Which part of a recording to use; see :meth:`affekt.Predictor.predict`."""

    channel: int | None


class SpeakerOptions(TypedDict, total=False):
    """The speakers of a recording; see :meth:`affekt.Predictor.timeline`."""

    speakers: Speakers
    enrolled: Mapping[str, Profile | str | Path] | None


class TimelineOptions(Span, SpeakerOptions, total=False):
    """Options of :meth:`affekt.Predictor.timeline`."""

    channel: Channel
    time_constant: float
    watch: Watch | None
    listen: Watch | None
