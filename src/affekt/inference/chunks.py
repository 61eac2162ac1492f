"""Check and convert the chunks of sound that a stream is given."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from affekt.audio.pcm import decode_pcm, scaled
from affekt.audio.reading import LOUDEST
from affekt.errors import AudioError


def chunk_samples(samples: NDArray[Any] | bytes, encoding: str | None) -> NDArray[np.float32]:
    """Convert one chunk of a stream.

    Args:
        samples: ``(samples,)`` mono, integers or floats; or raw samples as bytes.
        encoding: of bytes: one of :data:`affekt.audio.pcm.ENCODINGS`.

    Returns:
        ``(samples,)``, finite; integers are scaled to [-1, 1] by their width.

    Raises:
        AudioError: another shape or type, NaN or infinity, or an encoding that does not fit.
    """
    if isinstance(samples, bytes | bytearray | memoryview):
        if encoding is None:
            raise AudioError(
                "raw samples of a stream must have an encoding. Got bytes without one. "
                "Pass encoding, such as encoding='s16le'."
            )
        samples = decode_pcm(bytes(samples), encoding)
    elif encoding is not None:
        raise AudioError(
            f"encoding is for bytes only. Got {encoding!r} with an array. Leave it out."
        )
    samples = np.asarray(samples)  # lists are samples too
    if samples.ndim != 1 or samples.dtype.kind not in "iuf":
        raise AudioError(
            f"samples of a stream must be (samples,) integers or floats. "
            f"Got {samples.dtype} of shape {samples.shape}. Mix the channels down first."
        )
    sound = scaled(np.ascontiguousarray(samples))
    # NaN compares false too
    if not (np.abs(sound) <= LOUDEST).all():
        raise AudioError(
            f"samples of a stream must be finite, at most {LOUDEST:g}. Got NaN, infinity or "
            f"larger values. Clean or rescale them."
        )
    return sound
