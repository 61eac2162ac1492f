"""Describe a network: all settings needed to rebuild it before its weights are loaded."""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from affekt.aliases import from_stored, to_stored
from affekt.audio.windows import LAST_WINDOW, PATCH_HOP, SAMPLE_RATE, WINDOW_HOP
from affekt.errors import ModelError
from affekt.model.heads import HEADS, ensembles
from affekt.model.logmel import FRONT_ENDS
from affekt.model.yamnet import BLOCKS

TRUNKS = ("yamnet", "whisper")
LOUDNESS = ("given", "running")
#: Fields of earlier releases, with the only value that today's network still has.
REMOVED_FIELDS = {"columns": 1, "backbone": "", "ceiling": 6.0}


@dataclass(frozen=True)
class Architecture:
    """All settings of a network."""

    labels: tuple[str, ...]  #: the classes, in the order of the network's outputs
    trunk: str = "yamnet"  #: pretrained network from windows to features, one of ``TRUNKS``
    front_end: str = "magnitude"  #: of :class:`~affekt.model.logmel.LogMel`, before YAMNet
    blocks: int = BLOCKS  #: separable blocks of YAMNet that are kept
    encoder_layers: int = 2  #: transformer layers of Whisper's encoder that are kept
    context: int = 1  #: windows before the current one that Whisper's encoder sees
    head: str = "lstm"  #: one of ``HEADS``
    hop: int = WINDOW_HOP  #: samples between the starts of two windows
    last_window: str = "drop"  #: what happens to one that is not full, of ``LAST_WINDOW``
    #: ``given`` leaves the recorded loudness; ``running`` brings each window to a reference
    #: loudness, measured on the sound so far
    loudness: str = "given"
    speaker_normalization: bool = False  #: whether features are normalized by a profile
    #: seconds after which a window's weight in a head has fallen to 1/e; 0: never
    time_constant: float = 0.0
    ensemble_size: int = 1  #: statistics heads that are trained side by side and averaged
    #: seconds, likewise, of a second answer about the last few seconds; 0: there is none
    recent_time_constant: float = 0.0

    def __post_init__(self) -> None:
        for name, allowed in (
            ("trunk", TRUNKS),
            ("front_end", FRONT_ENDS),
            ("head", tuple(HEADS)),
            ("loudness", LOUDNESS),
            ("last_window", LAST_WINDOW),
        ):
            if (value := getattr(self, name)) not in allowed:
                raise ModelError(
                    f"{name} of Architecture must be one of {', '.join(allowed)}. Got {value!r}. "
                    f"Choose one of these, or update affekt."
                )
        for name, neutral in (("ensemble_size", 1), ("recent_time_constant", 0)):
            if (value := getattr(self, name)) != neutral and not ensembles(self.head):
                raise ModelError(
                    f"{name} of Architecture must be {neutral} with head {self.head}. "
                    f"Got {value}. Choose head statistics."
                )
        if self.loudness != "given" and self.front_end != "magnitude":
            raise ModelError(
                f"loudness of Architecture must be given with front_end {self.front_end}: it "
                f"is measured on magnitudes. Got {self.loudness!r}. Change one of the two."
            )
        fits = (self.loudness, self.hop) == ("running", PATCH_HOP) and self.context >= 1
        if self.trunk == "whisper" and not fits:
            raise ModelError(
                f"trunk whisper of Architecture needs loudness running, hop {PATCH_HOP} and a "
                f"context of at least 1 window. Got {self.loudness}, {self.hop} and "
                f"{self.context}. Set all three."
            )

    @property
    def decays(self) -> tuple[float, ...]:
        """:meth:`decay` for each time constant of the head."""
        recent = (self.recent_time_constant,) if self.recent_time_constant else ()
        return tuple(self.decay(seconds) for seconds in (self.time_constant, *recent))

    def decay(self, seconds: float) -> float:
        """Factor by which a sum decays from one window to the next, for a time constant."""
        return math.exp(-self.hop / SAMPLE_RATE / seconds) if seconds else 1.0

    def stored(self) -> dict[str, Any]:
        """The fields as files hold them; see :mod:`affekt.aliases`."""
        return to_stored(asdict(self))


def read_architecture(stored: dict[str, Any]) -> Architecture:
    """Rebuild an architecture from the fields in a file of this release or an earlier one.

    Raises:
        ModelError: a field that today's network does not have.
    """
    values = from_stored(stored)
    for name, neutral in REMOVED_FIELDS.items():
        if values.pop(name, neutral) != neutral:
            raise ModelError(
                f"the network uses {name}, which this version of affekt no longer has. "
                f"Train it again, or use affekt 0.1."
            )
    unknown = set(values) - {each.name for each in fields(Architecture)}
    if unknown:
        raise ModelError(f"a network has no field {min(unknown)!r}. Update affekt.")
    return Architecture(**{**values, "labels": tuple(values["labels"])})
