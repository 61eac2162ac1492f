"""Compute the response to an uploaded recording."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.datastructures import QueryParams

from affekt.audio.windows import SAMPLE_RATE
from affekt.errors import AudioError
from affekt.inference.options import TimelineOptions
from affekt.inference.predictor import Predictor
from affekt.service.request_options import COMMON, choice, number

Sound = NDArray[np.float32]
#: What computes the JSON of an answer from a recording at 16 kHz, and its query parameters.
Work = tuple[Callable[[Predictor, Sound, QueryParams], dict[str, Any]], tuple[str, ...]]
CHANNEL = "channel"
TIME = "time_constant"
SPEAKERS = "speakers"
EACH = "each"
SPEAKER_VALUES = (EACH, "auto", *map(str, range(1, 9)))


def _predict(predictor: Predictor, sound: Sound, _: QueryParams) -> dict[str, Any]:
    return predictor.predict(sound, sample_rate=SAMPLE_RATE).as_dict()


def _timeline(predictor: Predictor, sound: Sound, query: QueryParams) -> dict[str, Any]:
    options = TimelineOptions(sample_rate=SAMPLE_RATE)
    if TIME in query:
        options["time_constant"] = number(query, TIME, 0)
    text = choice(query, SPEAKERS, "", SPEAKER_VALUES) if SPEAKERS in query else ""
    if text == EACH:
        if CHANNEL in query:
            raise AudioError(
                f"query parameter {CHANNEL} must be left out with {SPEAKERS}={EACH}. "
                f"Got {query[CHANNEL][:20]!r}. Leave out one of them."
            )
        options["channel"] = "each"
    elif text:
        options["speakers"] = text if text == "auto" else int(text)
    utterances = [each.as_dict() for each in predictor.timeline(sound, **options)]
    return {"duration": len(sound) / SAMPLE_RATE, "utterances": utterances}


def _embed(predictor: Predictor, sound: Sound, _: QueryParams) -> dict[str, Any]:
    return {"embedding": predictor.embed(sound, sample_rate=SAMPLE_RATE).tolist()}


WORK: dict[str, Work] = {
    "/predict": (_predict, (*COMMON, CHANNEL)),
    "/timeline": (_timeline, (*COMMON, CHANNEL, TIME, SPEAKERS)),
    "/embed": (_embed, ("adapt", CHANNEL)),
}
