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
    from affekt.audio.reading import read as read
    from affekt.errors import AffektError as AffektError
    from affekt.experiments.finetuning import finetune as finetune
    from affekt.inference.prediction import Prediction as Prediction
    from affekt.inference.prediction import Segment as Segment
    from affekt.inference.predictor import Predictor as Predictor
    from affekt.inference.predictor import load as load
    from affekt.inference.profile import Profile as Profile
    from affekt.inference.stream import Stream as Stream
    from affekt.inference.timelines.frames import to_frame as to_frame
    from affekt.inference.timelines.rttm import Turn as Turn
    from affekt.inference.timelines.timeline import Timeline as Timeline
    from affekt.inference.timelines.timeline import Utterance as Utterance

__version__ = "0.2.0"
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
__all__ = sorted({*_HOMES} - {"finetune"})  # which needs PyTorch; so `import *` does not


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562), so that importing affekt is free."""
    if name not in _HOMES:
        raise AttributeError(f"module 'affekt' has no attribute {name!r}")
    from affekt.errors import needing_extra

    with needing_extra("train", f"affekt.{name}"):  # of which only finetune can lack a package
        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Names for completion, also before their first use."""
    return sorted({*globals(), *__all__})
