"""Windows of waveform to log-mel patches, as fixed matrices inside the network.

A short-time Fourier transform of a fixed length is a matrix product; written as one, the front
end trains, exports and runs wherever the network does, and nobody has to write it again.

Source: YAMNet's ``features.py`` (``magnitude``); Sharan, Mascolo & Schuller, equations (1) and
(2) (``power``).
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from affekt.audio.windows import (
    FFT,
    FRAME,
    FRAME_HOP,
    LOG_OFFSET,
    MEL_BANDS,
    MEL_HIGH,
    MEL_LOW,
    SAMPLE_RATE,
)

FRONT_ENDS = ("magnitude", "power")


class LogMel(nn.Module):
    """Log-mel patches of windows; nothing in it is trained.

    ``magnitude`` is YAMNet's own front end: the mel sum of the magnitude spectrum.
    ``power`` is the paper's equations (1) and (2): the mel sum of the power spectrum, each band
    divided by the sum of its weights. Both end in ``log(x + 0.001)``.
    """

    fourier: Tensor
    mel: Tensor

    def __init__(self, front_end: str = "magnitude") -> None:
        super().__init__()
        self.front_end = front_end
        mel = mel_matrix()
        used = np.flatnonzero(mel.any(axis=1))  # 125 to 7,500 Hz: the other bins weigh nothing
        mel = mel[used]
        if front_end == "power":
            mel = mel / mel.sum(axis=0)
        self.register_buffer("fourier", torch.from_numpy(_fourier_matrix(used)), persistent=False)
        self.register_buffer("mel", torch.from_numpy(mel.astype(np.float32)), persistent=False)

    def forward(self, windows: Tensor) -> Tensor:
        """Log-mel patches.

        Args:
            windows: ``(windows, 15600)`` float32 at 16 kHz.

        Returns:
            ``(windows, 96, 64)`` float32: frames, mel bands.
        """
        spectrum = nn.functional.conv1d(windows[:, None], self.fourier, stride=FRAME_HOP)
        real, imaginary = spectrum.chunk(2, dim=1)  # (windows, bins, 96)
        power = real.square() + imaginary.square()
        values = power if self.front_end == "power" else power.sqrt()
        return torch.log(values.transpose(1, 2) @ self.mel + LOG_OFFSET)


def mel_matrix() -> NDArray[np.float64]:
    """Weights of 64 triangular mel bands over the bins of the spectrum.

    The triangles are straight in mel, not in Hz, and peak at 1.

    Returns:
        ``(257, 64)``.

    Source: ``tf.signal.linear_to_mel_weight_matrix``; HTK mel scale.
    """

    def mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1127.0 * np.log1p(hertz / 700.0)

    bins = mel(np.linspace(0.0, SAMPLE_RATE / 2, FFT // 2 + 1))[:, None]
    low, high = mel(np.array([MEL_LOW, MEL_HIGH]))
    edges = np.linspace(low, high, MEL_BANDS + 2)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    weights: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    return weights


def _fourier_matrix(bins: NDArray[np.intp]) -> NDArray[np.float32]:
    """``(2 * bins, 1, 400)`` kernels: the Hann-windowed cosines, then the sines, of ``bins``."""
    time = np.arange(FRAME)
    hann = 0.5 - 0.5 * np.cos(2 * math.pi * time / FRAME)  # periodic, as TensorFlow's
    phase = 2 * math.pi * np.outer(bins, time) / FFT
    kernels = np.concatenate([np.cos(phase), -np.sin(phase)]) * hann
    return kernels[:, None].astype(np.float32)
