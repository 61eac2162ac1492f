"""Define sample formats, convert samples to float32, and describe decoded sound."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affekt.audio.windows import SAMPLE_RATE
from affekt.errors import AudioError

_WIDE = ("s16", "s24", "s32", "f32", "f64")  # have a byte order
_NARROW = ("s8", "u8", "alaw", "mulaw")
ENCODINGS = (*(kind + order for kind in _WIDE for order in ("le", "be")), *_NARROW)
"""Kinds of samples, as FFmpeg calls them."""
_WAV = {  # by format number and bits of a WAV
    (1, 8): "u8",
    (1, 16): "s16",
    (1, 24): "s24",
    (1, 32): "s32",
    (3, 32): "f32",
    (3, 64): "f64",
    (6, 8): "alaw",
    (7, 8): "mulaw",
}
_RAW = {  # libsndfile's name, and bytes of a sample
    "s16": ("PCM_16", 2),
    "s24": ("PCM_24", 3),
    "s32": ("PCM_32", 4),
    "f32": ("FLOAT", 4),
    "f64": ("DOUBLE", 8),
    "s8": ("PCM_S8", 1),
    "u8": ("PCM_U8", 1),
    "alaw": ("ALAW", 1),
    "mulaw": ("ULAW", 1),
}


@dataclass(frozen=True)
class Pcm:
    """Format of samples without a header."""

    encoding: str = "s16le"
    """One of :data:`ENCODINGS`."""
    sample_rate: int = SAMPLE_RATE
    """Hz"""
    channels: int = 1


@dataclass(frozen=True)
class Decoded:
    """An open recording or live sound."""

    name: str
    """Used in messages."""
    sample_rate: int
    """Hz"""
    channels: int
    frames: int | None
    """Length by the header; None if unknown, as of a live recording."""
    position: int
    """Frame at which ``chunks`` begins."""
    chunks: Iterator[NDArray[np.float32]]
    """``(frames, channels)`` each, in order."""


def wav_encoding(form: int, bits: int, *, little: bool) -> str | None:
    """Name the encoding of a WAV's samples; None if it is not one of :data:`ENCODINGS`.

    >>> wav_encoding(1, 16, little=True), wav_encoding(7, 8, little=True)
    ('s16le', 'mulaw')
    """
    kind = _WAV.get((form, bits))
    return f"{kind}{'le' if little else 'be'}" if kind in _WIDE else kind


def decode_pcm(content: bytes, encoding: str) -> NDArray[np.float32]:
    """Decode samples without a header.

    Args:
        content: whole samples of one channel.
        encoding: one of :data:`ENCODINGS`.

    Returns:
        ``(samples,)``, integers scaled to [-1, 1] by their width.

    Raises:
        AudioError: another encoding, or a part of a sample.

    >>> decode_pcm(b"\\x00\\x40\\x00\\xc0", "s16le").tolist()
    [0.5, -0.5]
    """
    if encoding not in ENCODINGS:
        raise AudioError(
            f"encoding of raw samples must be one of {', '.join(ENCODINGS)}. Got {encoding!r}."
        )
    kind, order = (encoding, "") if encoding in _NARROW else (encoding[:-2], encoding[-2:])
    subtype, size = _RAW[kind]
    if len(content) % size:
        raise AudioError(
            f"raw samples of {encoding} must be whole, {size} bytes each. Got {len(content)} "
            f"bytes. Keep the rest for the next chunk."
        )
    if not content:
        return np.empty(0, np.float32)
    import soundfile

    form = {"samplerate": SAMPLE_RATE, "channels": 1, "format": "RAW", "subtype": subtype}
    endian = {"le": "LITTLE", "be": "BIG"}.get(order)
    samples, _ = soundfile.read(BytesIO(content), dtype="float32", endian=endian, **form)
    return np.asarray(samples, np.float32)


def scaled(values: NDArray[Any]) -> NDArray[np.float32]:
    """Convert samples to float32: integers are scaled to [-1, 1], floats are not.

    Raises:
        AudioError: integers of 64 bits, such as lists of whole numbers: their scale is unknown.

    >>> scaled(np.array([0, 64, 128, 255], np.uint8)).tolist()
    [-1.0, -0.5, 0.0, 0.9921875]
    """
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return values.astype(np.float32, copy=False)
    if values.dtype.itemsize > 4:
        raise AudioError(
            f"samples of a sound must be integers of 8 to 32 bits, or floats. Got {values.dtype}. "
            f"Convert them to int16 or int32."
        )
    half = 2.0 ** (8 * values.dtype.itemsize - 1)
    zero = half if values.dtype.kind == "u" else 0.0
    return ((values.astype(np.float64) - zero) / half).astype(np.float32)


def silent(name: str) -> AudioError:
    """Build the error for a recording without samples."""
    return AudioError(f"{name} has no audio samples. Record or copy it again.")


def empty(name: str) -> AudioError:
    """Build the error for a recording without bytes."""
    return AudioError(f"{name} is empty (0 bytes). Record or copy it again.")
