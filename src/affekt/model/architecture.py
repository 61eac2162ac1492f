"""What it takes to rebuild a network before its weights are put in, on one page."""

import math
from dataclasses import dataclass

from affekt.audio.windows import SAMPLE_RATE, TAILS, WINDOW_HOP
from affekt.errors import ModelError
from affekt.model.heads import HEADS
from affekt.model.logmel import FRONT_ENDS
from affekt.model.yamnet import BLOCKS, check_columns

LEVELS = ("given", "running", "spectrum")
WAVEFORM = "waveform"  # the front end before a backbone: none


@dataclass(frozen=True)
class Architecture:
    """What it takes to rebuild the network before its weights are put in.

    Attributes:
        labels: what the network answers, in the order of its outputs.
        front_end: as in :class:`~affekt.model.logmel.LogMel`; ``waveform`` before a backbone.
        ceiling: of the CNN's rectifiers.
        head: one of ``HEADS``.
        hop: samples from one window's start to the next.
        tail: what becomes of a last window that does not fill, one of ``TAILS``.
        blocks: separable blocks of the CNN that are kept.
        columns: of a cut CNN's last layer that are averaged into one step.
        level: ``given``: as recorded; ``running``: brought to one loudness as it is heard;
            ``spectrum``: and halfway to one spectrum.
        profile: whether activations are normalized by who speaks.
        members: statistics heads that learn side by side and answer together.
        memory: seconds after which what was heard weighs 1/e in a head's sums; 0: for ever.
        backbone: form of the speech encoder in place of front end and CNN, as in
            :class:`~affekt.model.backbone.Backbone`; empty for YAMNet.
    """

    labels: tuple[str, ...]
    front_end: str = "magnitude"
    ceiling: float = 6.0
    head: str = "lstm"
    hop: int = WINDOW_HOP
    tail: str = "drop"
    blocks: int = BLOCKS
    columns: int = 1
    level: str = "given"
    profile: bool = False
    memory: float = 0.0
    members: int = 1
    backbone: str = ""

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("front_end", self.front_end, (WAVEFORM,) if self.backbone else FRONT_ENDS),
            ("head", self.head, tuple(HEADS)),
            ("level", self.level, LEVELS),
            ("tail", self.tail, TAILS),
        ):
            if value not in allowed:
                raise ModelError(
                    f"{name} of Architecture must be one of {', '.join(allowed)}. Got {value!r}."
                )
        check_columns(self.blocks, self.columns)
        if self.members > 1 and self.head != "statistics":
            raise ModelError(
                f"members of Architecture must be 1 with head {self.head}. Got {self.members}."
            )
        if self.level != "given" and self.front_end != "magnitude":
            raise ModelError(
                f"level of Architecture must be given with front_end {self.front_end}: loudness "
                f"is measured on magnitudes. Got {self.level!r}."
            )

    def keep(self, seconds: float) -> float:
        """What is left of a sum one window later; it is 1/e after so many seconds."""
        return math.exp(-self.hop / SAMPLE_RATE / seconds) if seconds else 1.0
