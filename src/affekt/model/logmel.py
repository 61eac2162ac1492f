"""Compute log-mel patches of windows with fixed matrices inside the network.

A short-time Fourier transform of fixed length is a matrix product, so the front end is exported
with the network. The transform is factored into two small products (Cooley and Tukey), which
needs a sixth of the operations of one large product.

Source: YAMNet's ``features.py`` (``magnitude``); Sharan, Mascolo & Schuller, equations (1) and
(2) (``power``); Cooley & Tukey, "An algorithm for the machine calculation of complex Fourier
series" (1965).
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
    PATCH,
    SAMPLE_RATE,
    WINDOW,
)

FRONT_ENDS = ("magnitude", "power")
PHASES = 16  # interleaved parts of a frame; divides frame, hop and window
POINTS = FFT // PHASES  # of the Fourier transform of one phase: 32
GROUPS = POINTS // 2  # of 16 bins each, computed from the same two bins of every phase


class LogMel(nn.Module):
    """Compute log-mel patches of windows; nothing in it is trained.

    ``magnitude`` is YAMNet's own front end: the mel sum of the magnitude spectrum, then
    ``log(x + 0.001)``. ``power`` is the paper's equations (1) and (2): the sum of the squared
    weighted spectrum, divided by the sum of the squared weights of the band. Its values are
    powers, so the offset of the logarithm is squared too: ``log(x + 0.000001)``.
    """

    phases: Tensor
    real: Tensor
    imaginary: Tensor
    mel: Tensor

    def __init__(self, front_end: str = "magnitude") -> None:
        super().__init__()
        self.front_end = front_end
        bins = _bins()
        mel = mel_matrix()[bins.ravel()]
        if front_end == "power":
            mel = mel**2 / (mel**2).sum(axis=0)
        self.offset = LOG_OFFSET**2 if front_end == "power" else LOG_OFFSET
        combined = _combination(bins)
        for name, values in (
            ("phases", _phase_transforms()),
            ("real", combined.real),
            ("imaginary", combined.imag),
            ("mel", mel),
        ):
            tensor = torch.from_numpy(values.astype(np.float32))
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, windows: Tensor) -> Tensor:
        """Compute ``(windows, frames 96, bands 64)`` of ``(windows, 15600)``, both float32."""
        dealt = windows.reshape(-1, WINDOW // PHASES, PHASES).transpose(1, 2)
        small = nn.functional.conv1d(dealt, self.phases, stride=FRAME_HOP // PHASES, groups=PHASES)
        # bins within phases -> phases within bins
        small = small.reshape(-1, PHASES, POINTS, PATCH).transpose(1, 2).reshape(-1, FFT, PATCH)
        real = nn.functional.conv1d(small, self.real, groups=GROUPS)
        imaginary = nn.functional.conv1d(small, self.imaginary, groups=GROUPS)
        power = real.square() + imaginary.square()  # (windows, bins, 96)
        values = power if self.front_end == "power" else power.sqrt()
        return torch.log(values.transpose(1, 2) @ self.mel + self.offset)


def mel_matrix() -> NDArray[np.float64]:
    """Compute the weights of 64 triangular mel bands over the bins: ``(257, 64)``.

    The triangles are linear in mel, not in Hz, and peak at 1.

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


def _bins() -> NDArray[np.intp]:
    """List the bins of the spectrum by group, without bin 0, which has no mel weight.

    Bin ``k`` is computed from bin ``k % 32`` of every phase. Bin ``32 - g`` of a phase is the
    conjugate of bin ``g``, so both are in group ``g``. Bins 0 and 16 are real and form group 0.

    Returns:
        ``(16, 16)``: group, bin.
    """
    every = np.arange(1, FFT // 2 + 1)
    group = np.minimum(every % POINTS, POINTS - every % POINTS) % GROUPS
    return np.stack([every[group == each] for each in range(GROUPS)])


def _phase_transforms() -> NDArray[np.float64]:
    """Compute the kernels of the Hann-windowed Fourier transform of each phase.

    Returns:
        ``(512, 1, 25)``: real and imaginary parts of bins 0 to 15 of each phase. Bin 0 has no
        imaginary part; the real part of bin 16 takes its place.
    """
    time = np.arange(FRAME)
    hann = 0.5 - 0.5 * np.cos(2 * math.pi * time / FRAME)  # periodic, as TensorFlow's
    turns = np.exp(-2j * math.pi * np.outer(range(GROUPS + 1), range(FRAME // PHASES)) / POINTS)
    parts = np.stack([turns[:-1].real, turns[:-1].imag], axis=1)
    parts[0, 1] = turns[-1].real
    kernels = parts * hann.reshape(-1, PHASES).T[:, None, None]
    return kernels.reshape(FFT, 1, -1)


def _combination(bins: NDArray[np.intp]) -> NDArray[np.complex128]:
    """Compute the kernels ``(256, 32, 1)`` from the phases' bins to the bins of the spectrum."""
    turns = np.exp(-2j * math.pi * bins[..., None] * np.arange(PHASES) / FFT)
    rest, group = bins % POINTS, np.arange(GROUPS)[:, None]
    first = np.where(rest == GROUPS, 0, 1)
    second = np.where(group == 0, 1 - first, np.where(rest == group, 1j, -1j))
    kernels = np.concatenate([first[..., None] * turns, second[..., None] * turns], axis=-1)
    return kernels.reshape(-1, 2 * PHASES, 1)
