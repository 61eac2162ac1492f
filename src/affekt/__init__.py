"""Recognize the emotion in a voice.

>>> import affekt
>>> affekt.load().predict("clip.wav").label  # doctest: +SKIP
'happy'
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from affekt.audio.reading import read
    from affekt.errors import AffektError
    from affekt.inference.predictor import Prediction, Predictor, load
    from affekt.inference.profile import Profile
    from affekt.inference.stream import Segment, Stream
    from affekt.inference.timeline import Utterance

__version__ = "0.1.0"
__all__ = [
    "AffektError",
    "Prediction",
    "Predictor",
    "Profile",
    "Segment",
    "Stream",
    "Utterance",
    "load",
    "read",
]

_HOMES = {
    "AffektError": "affekt.errors",
    "Prediction": "affekt.inference.predictor",
    "Predictor": "affekt.inference.predictor",
    "Profile": "affekt.inference.profile",
    "Segment": "affekt.inference.stream",
    "Stream": "affekt.inference.stream",
    "Utterance": "affekt.inference.timeline",
    "load": "affekt.inference.predictor",
    "read": "affekt.audio.reading",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562), so that importing affekt is free."""
    if name not in _HOMES:
        raise AttributeError(f"module 'affekt' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
