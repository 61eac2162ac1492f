"""Recognize the emotion in a voice.

>>> import affekt
>>> affekt.load().predict("clip.wav").label  # doctest: +SKIP
'happy'
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

# ONNX Runtime reports its use to Microsoft unless this is set before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from affekt.audio.reading import read
    from affekt.errors import AffektError
    from affekt.experiments.finetuning import finetune
    from affekt.inference.prediction import Prediction, Segment
    from affekt.inference.predictor import Predictor, load
    from affekt.inference.profile import Profile
    from affekt.inference.stream import Stream
    from affekt.inference.timelines.frames import to_frame
    from affekt.inference.timelines.rttm import Turn
    from affekt.inference.timelines.timeline import Timeline, Utterance

__version__ = "0.2.0"
__all__ = [
    "AffektError",
    "Prediction",
    "Predictor",
    "Profile",
    "Segment",
    "Stream",
    "Timeline",
    "Turn",
    "Utterance",
    "finetune",
    "load",
    "read",
    "to_frame",
]

_HOMES = {
    "AffektError": "affekt.errors",
    "Prediction": "affekt.inference.prediction",
    "Predictor": "affekt.inference.predictor",
    "Profile": "affekt.inference.profile",
    "Segment": "affekt.inference.prediction",
    "Stream": "affekt.inference.stream",
    "Timeline": "affekt.inference.timelines.timeline",
    "Turn": "affekt.inference.timelines.rttm",
    "Utterance": "affekt.inference.timelines.timeline",
    "finetune": "affekt.experiments.finetuning",
    "load": "affekt.inference.predictor",
    "read": "affekt.audio.reading",
    "to_frame": "affekt.inference.timelines.frames",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562), so that importing affekt is free."""
    if name not in _HOMES:
        raise AttributeError(f"module 'affekt' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
