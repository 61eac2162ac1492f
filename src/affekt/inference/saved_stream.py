"""Write the state of a stream as bytes, and read it again."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affekt.errors import ModelError
from affekt.inference.graph import Graph

SAVED_FORMAT = 3
_CHECKSUM = hashlib.sha256().digest_size  # bytes: length of the checksum before the rest


def packed(header: dict[str, Any], arrays: Sequence[NDArray[np.float32]]) -> bytes:
    """Join a checksum, one line of JSON, and arrays as little-endian float32."""
    body = b"".join(np.asarray(each, "<f4").tobytes() for each in arrays)
    content = json.dumps({"format": SAVED_FORMAT, **header}).encode() + b"\n" + body
    return hashlib.sha256(content).digest() + content


def unpacked(saved: bytes, graph: Graph) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """Read the bytes of :func:`packed`.

    Returns:
        The header, and the numbers of all arrays.

    Raises:
        ModelError: damaged bytes, or those of another model's stream.
    """
    content = saved[_CHECKSUM:]
    if hashlib.sha256(content).digest() != saved[:_CHECKSUM]:
        raise ModelError(
            f"A saved stream must be the whole result of Stream.save(). Got {len(saved)} other "
            f"bytes. Save it again."
        )
    line, _, body = content.partition(b"\n")
    header = json.loads(line)
    found = header["format"], header["model"]
    if found != (SAVED_FORMAT, graph.digest):
        raise ModelError(
            f"A saved stream must have format {SAVED_FORMAT} and the loaded model, "
            f"{graph.digest}. Got {found}. Load the model that saved the stream."
        )
    return header, np.frombuffer(body, "<f4").astype(np.float32)
