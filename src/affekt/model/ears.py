"""Windows of waveform to what a speech encoder was trained to hear; nothing in it is trained.

Each is an ordinary layer of fixed numbers, so that the exported graph takes waveform and nobody
has to write an encoder's feature extraction again.

Source: ``Wav2Vec2FeatureExtractor`` and ``WhisperFeatureExtractor`` of Hugging Face transformers,
held against both by tests.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from affekt.audio.windows import WINDOW

FRAME, FRAME_HOP = 400, 160  # samples: 25 ms, 10 ms
FRAMES = -(-(WINDOW + FRAME // 2) // FRAME_HOP)  # that hear some of a window: 99
QUIETEST = 1e-10  # power of silence
RANGE = 8.0  # decades below the loudest that are told apart


class Evened(nn.Module):
    """Each window with mean 0 and variance 1."""

    def forward(self, windows: Tensor) -> Tensor:
        """``(windows, 15600)`` to the same."""
        centred = windows - windows.mean(1, keepdim=True)
        return centred / (centred.square().mean(1, keepdim=True) + 1e-7).sqrt()


class WhisperLogMel(nn.Module):
    """Whisper's log-mel of each window, followed by silence up to what Whisper hears at once.

    Args:
        mel: ``(201, bands)``: weights of the mel bands over the bins of the spectrum.
        positions: steps that Whisper hears at once, two frames each; 1,500 are 30 s.
    """

    mel: Tensor
    transform: Tensor

    def __init__(self, mel: NDArray[np.float64], positions: int) -> None:
        super().__init__()
        self.silent = 2 * positions - FRAMES  # frames after the window
        time, bins = np.arange(FRAME), np.arange(FRAME // 2 + 1)
        hann = 0.5 - 0.5 * np.cos(2 * math.pi * time / FRAME)
        turns = hann * np.exp(-2j * math.pi * np.outer(bins, time) / FRAME)
        kernels = np.concatenate([turns.real, turns.imag])[:, None]
        for name, values in (("transform", kernels), ("mel", mel.T)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32), persistent=False)

    def forward(self, windows: Tensor) -> Tensor:
        """``(windows, 15600)`` to ``(windows, bands, 2 * positions)``."""
        mirrored = windows[:, 1 : FRAME // 2 + 1].flip(1)  # half a frame before the sound
        after = (FRAMES - 1) * FRAME_HOP + FRAME // 2 - WINDOW
        sound = nn.functional.pad(torch.cat([mirrored, windows], dim=1), (0, after))
        parts = nn.functional.conv1d(sound[:, None], self.transform, stride=FRAME_HOP)
        real, imaginary = parts.chunk(2, dim=1)
        power = self.mel @ (real.square() + imaginary.square())
        logarithms = power.clamp_min(QUIETEST).log10()
        logarithms = nn.functional.pad(logarithms, (0, self.silent), value=math.log10(QUIETEST))
        loudest = logarithms.amax(dim=(1, 2), keepdim=True)
        return (torch.maximum(logarithms, loudest - RANGE) + 4.0) / 4.0
