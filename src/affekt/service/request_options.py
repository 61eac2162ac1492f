"""Read prediction options and speaker profiles from requests."""

import base64
import math
from collections.abc import Iterable
from dataclasses import replace

from starlette.datastructures import QueryParams

from affekt.errors import AudioError, ModelError
from affekt.inference.predictor import Predictor
from affekt.inference.profile import Profile, profile_of

COMMON = ("adapt", "min_confidence", "quality")  # parameters of whatever has a label


def with_query(predictor: Predictor, query: QueryParams, *allowed: str) -> Predictor:
    """Apply the query's ``adapt``, ``min_confidence``, ``channel`` and ``quality`` to a predictor.

    ``allowed`` are the parameters that the query may hold.

    Raises:
        AffektError: an unknown parameter, a value of another kind or out of range, or ``adapt``
            for a model without speaker normalization.
    """
    for name in query:
        if name not in allowed:
            raise AudioError(
                f"query parameters must be among {', '.join(allowed)}. "
                f"Got {name[:20]!r}. Leave it out."
            )
    given = "channel" in query
    channel = int(number(query, "channel", 0, whole=True)) if given else predictor.channel
    return replace(
        predictor,
        adapt=choice(query, "adapt", f"{predictor.adapt:d}", "01") == "1",
        min_confidence=number(query, "min_confidence", predictor.min_confidence),
        channel=channel,
        limits=predictor.limits if choice(query, "quality", "1", "01") == "1" else None,
    )


def number(query: QueryParams, name: str, default: float, *, whole: bool = False) -> float:
    """Read a finite number from a query, or a whole one of at least 0; else raise an AudioError."""
    text = query.get(name)
    try:
        value = default if text is None else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (whole and (value % 1 or value < 0)):
        kind = "whole number, 0 or more" if whole else "number"
        raise AudioError(f"query parameter {name} must be a {kind}. Got {text!r}. Correct it.")
    return value


def choice(query: QueryParams, name: str, default: str, allowed: Iterable[str]) -> str:
    """Read one of the allowed values from a query; raise an AudioError for another."""
    text = query.get(name, default)
    if text not in (values := [*allowed]):
        raise AudioError(
            f"query parameter {name} must be one of {', '.join(values)}. Got {text[:20]!r}. "
            f"Correct it."
        )
    return text


def decode_profile(text: str, must_be: str) -> Profile:
    """Decode a base64 speaker profile; ``must_be`` begins the error message.

    Raises:
        ModelError: not base64, or not a profile.
    """
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ModelError(
            f"{must_be} a profile in base64. Got {text[:20]!r}. Send a file of affekt enroll."
        ) from error
    return profile_of(content)
