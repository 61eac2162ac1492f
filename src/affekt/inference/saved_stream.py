"""Write the state of a stream as bytes, and read it again."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affekt.audio.headers import RATES
from affekt.audio.pcm import Raw
from affekt.audio.windows import SAMPLE_RATE, WINDOW
from affekt.errors import ModelError
from affekt.inference.graph import Graph
from affekt.inference.speech.quality import QualityLimits

SAVED_FORMAT = 3
_MOST = 1 << 53  # samples: no sound is longer
_CHECKSUM = hashlib.sha256().digest_size  # bytes: length of the checksum before the rest


def packed(header: dict[str, Any], arrays: Sequence[NDArray[np.float32]]) -> bytes:
    """Join a checksum, one line of JSON, and arrays as little-endian float32."""
    body = b"".join(np.asarray(each, "<f4").tobytes() for each in arrays)
    content = json.dumps({"format": SAVED_FORMAT, **header}, default=float).encode() + b"\n" + body
    return hashlib.sha256(content).digest() + content


def unpacked(saved: Raw, graph: Graph) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """Read the header, and the numbers of all arrays, from the bytes of :func:`packed`.

    Raises:
        ModelError: damaged or forged bytes, or those of another model's stream.
    """
    content = bytes(saved[_CHECKSUM:])  # databases give a memoryview
    if hashlib.sha256(content).digest() != saved[:_CHECKSUM]:
        raise ModelError(
            f"A saved stream must be the whole result of Stream.save(). Got {len(saved)} other "
            f"bytes. Save it again."
        )
    line, _, body = content.partition(b"\n")
    try:
        header = json.loads(line)
        found = header["format"], header["model"]
        numbers = np.frombuffer(body, "<f4").astype(np.float32)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise forged("header", type(error).__name__) from error
    if found != (SAVED_FORMAT, graph.digest):
        raise ModelError(
            f"A saved stream must have format {SAVED_FORMAT} and the loaded model, "
            f"{graph.digest}. Got {found}. Load the model that saved the stream."
        )
    _check_header(header)
    return header, numbers


def forged(field: str, found: object) -> ModelError:
    """The error of a value that no stream saves."""
    return ModelError(
        f"{field} of a saved stream must be as Stream.save() writes it. "
        f"Got {str(found)[:80]}. Save the stream again."
    )


def _check_header(header: dict[str, Any]) -> None:
    """Refuse values of the wrong type or out of range."""

    def require(field: str, valid: bool) -> None:
        if not valid:
            raise forged(field, header.get(field))

    rate: Any = header.get("sample_rate")
    require("sample_rate", _whole(rate, *RATES))
    counts = {"windows": _MOST, "second": _MOST, "given": _MOST}
    for field, most in {**counts, "waiting": 2 * WINDOW, "replay": 2 * rate}.items():
        require(field, _whole(header.get(field), 0, most))
    require("adapt", type(header.get("adapt")) is bool)
    confidence = header.get("min_confidence")
    require("min_confidence", isinstance(confidence, int | float) and 0 <= confidence <= 1)
    limits = header.get("limits", 0)
    if limits is not None:
        names = {field.name for field in fields(QualityLimits)}
        require("limits", isinstance(limits, dict) and limits.keys() == names)
        for limit in limits.values():
            require("limits", type(limit) is float or _whole(limit, -_MOST, _MOST))
    ready = header["given"] - header["second"] * SAMPLE_RATE
    require("given", 0 <= ready <= 2 * SAMPLE_RATE)


def _whole(value: Any, least: int, most: int) -> bool:
    """Whether a value is a whole number, and no boolean, in a range."""
    return type(value) is int and least <= value <= most
