"""Compute the response to an uploaded recording."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from starlette.datastructures import QueryParams

from affekt.audio.windows import SAMPLE_RATE
from affekt.errors import AudioError
from affekt.inference.options import TimelineOptions
from affekt.inference.predictor import Predictor
from affekt.service.request_options import number

Sound = NDArray[np.float32]


class Answer(NamedTuple):
    """Content of a response as JSON, and seconds of the processed sound."""

    content: dict[str, Any]
    seconds: float


class Work(NamedTuple):
    """How requests to a path are processed.

    Args:
        compute: makes the answer, in a thread, from the decoded recording at 16 kHz.
        parameters: of the query, besides those of every path.
    """

    compute: Callable[[Predictor, Sound, QueryParams], Answer]
    parameters: tuple[str, ...] = ()


def _predict(predictor: Predictor, sound: Sound, _: QueryParams) -> Answer:
    prediction = predictor.predict(sound, sample_rate=SAMPLE_RATE)
    return Answer(prediction.as_dict(), prediction.duration)


def _timeline(predictor: Predictor, sound: Sound, query: QueryParams) -> Answer:
    samples = 0

    def count(block: NDArray[np.float32]) -> None:
        nonlocal samples
        samples += block.size

    options = TimelineOptions(watch=count, sample_rate=SAMPLE_RATE)
    if TIME in query:
        options["time_constant"] = number(query, TIME, 0)
    if SPEAKERS in query:
        options |= _speakers(query[SPEAKERS])
    utterances = [each.as_dict() for each in predictor.timeline(sound, **options)]
    seconds = samples / SAMPLE_RATE
    return Answer({"duration": seconds, "utterances": utterances}, seconds)


def _speakers(text: str) -> TimelineOptions:
    """Read the options about speakers; names of files are not allowed in a query."""
    if text not in SPEAKER_VALUES:
        raise AudioError(
            f"query parameter {SPEAKERS} must be among {', '.join(SPEAKER_VALUES)}. "
            f"Got {text[:20]!r}. Leave it out."
        )
    if text == EACH:
        return TimelineOptions(channel="each")
    return TimelineOptions(speakers=text if text == "auto" else int(text))


def _embed(predictor: Predictor, sound: Sound, _: QueryParams) -> Answer:
    return Answer({"embedding": predictor.embed(sound, sample_rate=SAMPLE_RATE).tolist()}, 0.0)


TIME = "time_constant"
SPEAKERS = "speakers"
EACH = "each"
SPEAKER_VALUES = (EACH, "auto", *map(str, range(1, 9)))
WORK: Mapping[str, Work] = {
    "/predict": Work(_predict),
    "/timeline": Work(_timeline, (TIME, SPEAKERS)),
    "/embed": Work(_embed),
}
