"""Define YAMNet, the CNN that turns each log-mel patch into an embedding of 1,024 numbers.

A MobileNet v1 over 96 x 64 patches, pretrained on AudioSet (Plakal & Ellis).

Source: the layer table of YAMNet's ``yamnet.py`` (tensorflow/models, audioset).
"""

import math

import torch
from torch import Tensor, nn

from affekt.audio.windows import MEL_BANDS, PATCH

EMBEDDING = 1_024
BLOCKS = 13  # separable blocks of two convolutions each
BATCH_NORM_EPSILON = 1e-4

#: Output channels and stride of each separable block: a 3 x 3 convolution of each channel by
#: itself, then a 1 x 1 convolution of all channels.
CHANNELS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1_024, EMBEDDING)
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)

#: Whether the processor multiplies in bfloat16 (unknown: yes). Where it does not, oneDNN emulates
#: that, and takes longer than in float32: with AVX2 alone, ten times as long.
HAS_BFLOAT16 = getattr(torch.cpu, "get_capabilities", dict[str, bool])().get("avx512_bf16", True)


class Convolution(nn.Module):
    """One row of the table: convolution, batch norm, rectifier."""

    def __init__(
        self, channels_in: int, channels: int, *, kernel: int = 3, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0
        self.convolution = nn.Conv2d(
            channels_in, channels, kernel, stride, padding, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(channels, eps=BATCH_NORM_EPSILON)

    def convolve(self, x: Tensor) -> Tensor:
        """The convolution alone, padded as TensorFlow's ``SAME``."""
        strided = self.convolution.stride[0] > 1
        if strided:
            x = nn.functional.pad(x, (0, 1, 0, 1))  # sizes are even: SAME pads the far sides only
        emulated = x.device.type == "cpu" and not HAS_BFLOAT16
        # oneDNN has no bfloat16 gradient for strided ones of each channel by itself: its reference
        # kernel takes seven times as long.
        slow = emulated or (strided and self.convolution.groups > 1)
        if x.dtype != torch.bfloat16 or not slow:
            return self.convolution(x)  # type: ignore[no-any-return]
        with torch.autocast(x.device.type, enabled=False):
            return self.convolution(x.float()).to(x.dtype)  # type: ignore[no-any-return]

    def rectify(self, x: Tensor) -> Tensor:
        """Apply ReLU6."""
        return nn.functional.hardtanh(x, 0.0, 6.0)

    def forward(self, x: Tensor) -> Tensor:
        """``(patches, channels, frames, bands)`` to the same of this layer's sizes."""
        return self.rectify(self.norm(self.convolve(x)))


class YAMNet(nn.Module):
    """The CNN without AudioSet's classifier, whole or cut after one of its blocks.

    The whole network gives one embedding a patch: the mean of its last layer over time and
    frequency. A cut one keeps time: each step is a column of its last layer, all channels in all
    bands.

    Args:
        blocks: separable blocks to keep, 1 to 13.
    """

    def __init__(self, *, blocks: int = BLOCKS) -> None:
        super().__init__()
        channels = 32
        rows = [Convolution(1, channels, stride=2)]
        for wider, stride in zip(CHANNELS[:blocks], STRIDES, strict=False):
            rows.append(Convolution(channels, channels, stride=stride, groups=channels))
            rows.append(Convolution(channels, wider, kernel=1))
            channels = wider
        self.layers = nn.Sequential(*rows)
        shrunk = math.prod(row.convolution.stride[0] for row in rows)
        self.whole = whole = blocks == BLOCKS
        #: Steps of a patch, and numbers of a step.
        self.steps = 1 if whole else PATCH // shrunk
        self.features = channels if whole else channels * (MEL_BANDS // shrunk)

    @property
    def rows(self) -> tuple[Convolution, ...]:
        """The layers in order, with their own type."""
        return tuple(row for row in self.layers if isinstance(row, Convolution))

    def forward(self, patches: Tensor) -> Tensor:
        """Compute ``(patches, steps, features)`` of log-mels ``(patches, 96, 64)``."""
        x = patches[:, None]
        if x.device.type == "cpu":
            x = x.contiguous(memory_format=torch.channels_last)
        maps: Tensor = self.layers(x)
        if self.whole:
            return maps.mean(dim=(2, 3))[:, None]
        return maps.transpose(1, 2).flatten(2)
