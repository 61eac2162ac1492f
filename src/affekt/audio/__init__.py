"""Sound to arrays: reading, windows, cepstra. Knows no labels and no models."""

from affekt.audio.reading import MAX_SECONDS, SUFFIXES, Sound, blocks, probe, read
from affekt.audio.windows import (
    SAMPLE_RATE,
    WINDOW,
    WINDOW_HOP,
    sliding_windows,
    window_count,
    window_times,
)

__all__ = [
    "MAX_SECONDS",
    "SAMPLE_RATE",
    "SUFFIXES",
    "WINDOW",
    "WINDOW_HOP",
    "Sound",
    "blocks",
    "probe",
    "read",
    "sliding_windows",
    "window_count",
    "window_times",
]
