"""List the names that earlier releases stored, and the names that replace them.

Archived recipes, checkpoints and model files keep the names they were written with. They are read
through this table, and the digest of a recipe is computed over its stored names.
"""

from typing import Any

#: Stored name of a recipe's knob or of an architecture's field -> its name in the code.
STORED_NAMES = {
    "tail": "last_window",
    "level": "loudness",
    "profile": "speaker_normalization",
    "memory": "time_constant",
    "members": "ensemble_size",
    "voices": "augmented_speakers",
    "places": "augment_channel",
    "keep": "checkpoint",
}
_NAMES_IN_FILES = {name: stored for stored, name in STORED_NAMES.items()}


def from_stored(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values under today's names; names without an alias stay as they are."""
    return {STORED_NAMES.get(name, name): value for name, value in values.items()}


def to_stored(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values under the names that files hold; the inverse of :func:`from_stored`."""
    return {_NAMES_IN_FILES.get(name, name): value for name, value in values.items()}
