"""What a client asks for, in a query and a profile, to the predictor that answers so."""

import base64
import math
from dataclasses import replace

from starlette.datastructures import QueryParams

from affekt.errors import AudioError, ModelError
from affekt.inference.predictor import Predictor
from affekt.inference.profile import Profile, profile_of


def listener(predictor: Predictor, query: QueryParams, *others: str) -> Predictor:
    """The predictor as a query wants it: ``adapt``, ``min_confidence``, ``channel``.

    Args:
        predictor: what it is where the query is silent.
        query: of the client.
        others: what else the query may say.

    Raises:
        AffektError: what the query may not say, a value that is no number or out of range, or
            ``adapt`` for a model that knows no speakers.
    """
    known = ("adapt", "min_confidence", "channel", *others)
    for name in query:
        if name not in known:
            raise AudioError(
                f"a query may hold {', '.join(known)}. Got {name[:20]!r}. Leave it out."
            )
    return replace(
        predictor,
        adapt=bool(number(query, "adapt", predictor.adapt)),
        min_confidence=number(query, "min_confidence", predictor.min_confidence),
        channel=whole_number(query, "channel", 0) if "channel" in query else predictor.channel,
    )


def number(query: QueryParams, name: str, default: float) -> float:
    """A number of a query.

    Raises:
        AudioError: what stands there is none.
    """
    text = query.get(name)
    try:
        value = default if text is None else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise AudioError(f"{name} of a query must be a number. Got {text!r}. Leave it out.")
    return value


def whole_number(query: QueryParams, name: str, default: int) -> int:
    """A whole number of a query, 0 or more.

    Raises:
        AudioError: what stands there is none.
    """
    value = number(query, name, default)
    if value % 1 or value < 0:
        raise AudioError(
            f"{name} of a query must be a whole number, 0 or more. Got {value:g}. Leave it out."
        )
    return int(value)


def person(text: str, what: str) -> Profile:
    """The profile that a text is in base64.

    Args:
        text: of the client.
        what: begins the message if it is none: where it stands and what may stand there.

    Raises:
        ModelError: no base64, or no profile.
    """
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ModelError(f"{what} a profile in base64. Got {text[:20]!r}.") from error
    return profile_of(content)
