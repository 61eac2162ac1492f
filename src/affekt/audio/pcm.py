"""Define sample formats, convert samples to float32, and describe decoded sound."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affekt.audio.windows import SAMPLE_RATE
from affekt.errors import AudioError

_WIDE = ("s16", "s24", "s32", "f32", "f64")  # have an order of bytes
_NARROW = ("s8", "u8", "alaw", "mulaw")
ENCODINGS = (*(kind + order for kind in _WIDE for order in ("le", "be")), *_NARROW)
"""Kinds of samples, as FFmpeg calls them."""
_WAV = {  # what a WAV calls them: number of the form, bits
    (1, 8): "u8",
    (1, 16): "s16",
    (1, 24): "s24",
    (1, 32): "s32",
    (3, 32): "f32",
    (3, 64): "f64",
    (6, 8): "alaw",
    (7, 8): "mulaw",
}


@dataclass(frozen=True)
class Pcm:
    """What samples without a header are."""

    encoding: str = "s16le"
    """One of :data:`ENCODINGS`."""
    sample_rate: int = SAMPLE_RATE
    """Hz"""
    channels: int = 1


@dataclass(frozen=True)
class Decoded:
    """An open recording, or a sound that is being made: what is known of it, and its samples."""

    name: str
    """What messages call it."""
    sample_rate: int
    """Hz"""
    channels: int
    frames: int | None
    """As the header promises; None if it says nothing, as in a live recording."""
    position: int
    """Frame at which ``chunks`` begins."""
    chunks: Iterator[NDArray[np.float32]]
    """``(frames, channels)`` each, in order."""


def wav_encoding(form: int, bits: int, *, little: bool) -> str | None:
    """What a WAV's samples are; None where they are coded otherwise.

    >>> wav_encoding(1, 16, little=True), wav_encoding(7, 8, little=True)
    ('s16le', 'mulaw')
    """
    kind = _WAV.get((form, bits))
    return f"{kind}{'le' if little else 'be'}" if kind in _WIDE else kind


def scaled(values: NDArray[Any]) -> NDArray[np.float32]:
    """Samples of any width as float32: integers to [-1, 1], floats as they are.

    Raises:
        AudioError: integers of 64 bits, which no recorder gives: scaled by that width they would
            be silence. Lists of whole numbers become such.

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
    """The error of a recording in which there is nothing."""
    return AudioError(f"{name} has no audio samples. Record or copy it again.")
