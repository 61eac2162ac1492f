"""Compute the response to an uploaded recording."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from starlette.datastructures import QueryParams

from affekt.audio.windows import SAMPLE_RATE
from affekt.errors import AudioError
from affekt.inference.options import TimelineOptions
from affekt.inference.predictor import Predictor
from affekt.service.request_options import COMMON, number

Sound = NDArray[np.float32]


class Answer(NamedTuple):
    """Content of a response as JSON, and seconds of the processed sound."""

    content: dict[str, Any]
    seconds: float


#: What computes an answer from a recording at 16 kHz, and its query parameters.
Work = tuple[Callable[[Predictor, Sound, QueryParams], Answer], tuple[str, ...]]
CHANNEL = "channel"
TIME = "time_constant"
SPEAKERS = "speakers"
EACH = "each"
SPEAKER_VALUES = (EACH, "auto", *map(str, range(1, 9)))


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
    if (text := query.get(SPEAKERS)) == EACH:
        options["channel"] = "each"
    elif text in SPEAKER_VALUES:
        options["speakers"] = text if text == "auto" else int(text)
    elif text is not None:  # the name of a file is not allowed
        raise AudioError(
            f"query parameter {SPEAKERS} must be among {', '.join(SPEAKER_VALUES)}. "
            f"Got {text[:20]!r}. Leave it out."
        )
    utterances = [each.as_dict() for each in predictor.timeline(sound, **options)]
    seconds = samples / SAMPLE_RATE
    return Answer({"duration": seconds, "utterances": utterances}, seconds)


def _embed(predictor: Predictor, sound: Sound, _: QueryParams) -> Answer:
    return Answer({"embedding": predictor.embed(sound, sample_rate=SAMPLE_RATE).tolist()}, 0.0)


WORK: dict[str, Work] = {
    "/predict": (_predict, (*COMMON, CHANNEL)),
    "/timeline": (_timeline, (*COMMON, CHANNEL, TIME, SPEAKERS)),
    "/embed": (_embed, ("adapt", CHANNEL)),
}
