"""Compute speech features with the first layers of Whisper's encoder, window by window.

Whisper's encoder was trained on whole recordings. To run it on a stream, each window is encoded
together with the windows before it, always at the same positions. All three parts are layers of
one network, so the exported graph takes waveform:

* :class:`WhisperLogMel`: windows to log-mel frames (fixed matrices).
* :class:`WindowContext`: frames to one loudness, joined with the frames of the windows before.
* :class:`WhisperEncoder`: two convolutions and the first transformer layers.

Source: Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022);
``audio.py`` and ``model.py`` of openai/whisper.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from affekt.audio.windows import FRAME, FRAME_HOP, PATCH, SAMPLE_RATE
from affekt.model.loudness import State, running_loudness

BANDS = 80
SILENCE = 10.0  # decades below a power of 1, where silence lies
RANGE = 8.5  # decades below the reference loudness that are kept
#: Power of a frame (the sum of its mel bands) that speech is brought to, in decades: the level
#: at which Whisper's own normalization leaves it on average.
REFERENCE = 4.0
FLOOR = 6.0  # decades below the reference; a quieter sound is not brought up further
HALF = 2.5  # decades: a frame this much softer than the reference counts half as speech
WIDTH, ATTENTION_HEADS = 384, 6  # numbers of a step, and attention heads, of Whisper-tiny
POOLED = 2  # encoder steps of 20 ms whose mean is one step
STEPS = PATCH // 2 // POOLED  # of a window: 24


class WhisperLogMel(nn.Module):
    """Compute Whisper's log-mel frames of windows; nothing in it is trained.

    Unlike Whisper, the mean of each frame is removed before its window function, as Kaldi does:
    a constant offset of the recording changes nothing.
    """

    transform: Tensor
    mel: Tensor

    def __init__(self) -> None:
        import librosa  # slow to load

        super().__init__()
        time, bins = np.arange(FRAME), np.arange(FRAME // 2 + 1)
        hann = 0.5 - 0.5 * np.cos(2 * math.pi * time / FRAME)
        turns = hann * np.exp(-2j * math.pi * np.outer(bins, time) / FRAME)
        turns -= turns.mean(axis=1, keepdims=True)  # of a frame less its mean
        kernels = np.concatenate([turns.real, turns.imag])[:, None]
        # Slaney's scale, linear below 1 kHz and logarithmic above, in triangles of area 1
        mel = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=FRAME, n_mels=BANDS, dtype=np.float64).T
        for name, values in (("transform", kernels), ("mel", mel)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32), persistent=False)

    def forward(self, windows: Tensor) -> Tensor:
        """Compute ``(windows, 96, 80)`` of ``(windows, 15600)``: decades of power above 1e-10."""
        parts = nn.functional.conv1d(windows[:, None], self.transform, stride=FRAME_HOP)
        real, imaginary = parts.chunk(2, dim=1)
        power = (real.square() + imaginary.square()).transpose(1, 2) @ self.mel
        return power.clamp_min(10**-SILENCE).log10() + SILENCE


class WindowContext(nn.Module):
    """Bring each window and those before it to one loudness, and join their frames.

    Loudness is measured as in :class:`~affekt.model.loudness.RunningLoudness`. The gain that holds
    at the end of a window is applied to all of its segment.

    Args:
        windows: windows before the current one that are joined with it, at least 1.
        decay: factor by which a window's weight in the loudness decays per window, in (0, 1].
    """

    def __init__(self, windows: int, decay: float) -> None:
        super().__init__()
        self.windows, self.decay = windows, decay
        self.state = {
            "loudness_power": (1,),
            "loudness_square": (1,),
            "context": (windows * PATCH, BANDS),
        }

    def forward(self, patches: Tensor, state: State) -> tuple[Tensor, State]:
        """Compute the encoder's inputs.

        Args:
            patches: ``(clips, windows, 96, 80)`` of :class:`WhisperLogMel`.
            state: as returned for the windows before.

        Returns:
            ``(clips, windows, 96 * (1 + context), 80)`` in Whisper's own scale, and the state
            after the last window.
        """
        power = (10.0 ** (patches - SILENCE - REFERENCE)).sum(dim=3)  # of each frame
        loudness, after = running_loudness(power, state, self.decay)
        gain = -loudness.clamp_min(10**-FLOOR).log10()[..., None]
        before = state["context"].reshape(-1, self.windows, PATCH, BANDS)
        joined = torch.cat([before, patches], dim=1)
        shifted = [joined[:, i : i - self.windows or None] for i in range(self.windows + 1)]
        leveled = torch.cat(shifted, dim=2) - SILENCE + gain
        segments = (leveled.clamp_min(REFERENCE - RANGE) + 4.0) / 4.0
        return segments, after | {"context": joined[:, -self.windows :].flatten(1, 2)}


def encoder_speech_shares(segments: Tensor) -> Tensor:
    """Estimate the share of speech, ``(windows, 24)`` in [0, 1), from loudness alone.

    It is that of the last window of each segment ``(windows, frames, 80)``.
    """
    frames = 4.0 * segments[:, -PATCH:] - 4.0
    power = (10.0 ** (frames - REFERENCE)).sum(dim=2)
    shares = power / (power + 10**-HALF)
    return shares.reshape(-1, STEPS, PATCH // STEPS).mean(dim=2)


class Attention(nn.Module):
    """Multi-head self-attention, as in Whisper: keys have no bias."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(WIDTH, WIDTH)
        self.k_proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.v_proj = nn.Linear(WIDTH, WIDTH)
        self.out_proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """``(windows, steps, width)`` to the same shape."""
        windows, steps, width = x.shape
        q, k, v = (
            projection(x).reshape(windows, steps, ATTENTION_HEADS, -1).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        weights = (q @ k.transpose(2, 3) * (width // ATTENTION_HEADS) ** -0.5).softmax(dim=-1)
        mixed: Tensor = self.out_proj((weights @ v).transpose(1, 2).reshape(windows, steps, width))
        return mixed


class EncoderLayer(nn.Module):
    """One transformer layer: attention and two linear layers, each after a layer norm."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn_layer_norm = nn.LayerNorm(WIDTH)
        self.self_attn = Attention()
        self.final_layer_norm = nn.LayerNorm(WIDTH)
        self.fc1 = nn.Linear(WIDTH, 4 * WIDTH)
        self.fc2 = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """``(windows, steps, width)`` to the same shape."""
        x = x + self.self_attn(self.self_attn_layer_norm(x))
        inner = nn.functional.gelu(self.fc1(self.final_layer_norm(x)))
        return x + self.fc2(inner)  # type: ignore[no-any-return]


class WhisperEncoder(nn.Module):
    """The first layers of Whisper's encoder, all of them side by side.

    Names of weights are those of ``WhisperEncoder`` in Hugging Face transformers.

    Args:
        layers: transformer layers to keep, at least 1.
        context: windows before the current one that a segment holds.
    """

    def __init__(self, *, layers: int, context: int) -> None:
        super().__init__()
        positions = (1 + context) * PATCH // 2
        self.conv1 = nn.Conv1d(BANDS, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(positions, WIDTH)
        self.layers = nn.ModuleList(EncoderLayer() for _ in range(layers))
        #: Steps of a window, and numbers of a step.
        self.steps, self.features = STEPS, layers * WIDTH

    def forward(self, segments: Tensor) -> Tensor:
        """Encode segments of :class:`WindowContext`: ``(windows, 96 * (1 + context), 80)``.

        Returns:
            ``(windows, 24, features)``: outputs of all layers side by side, in steps of 40 ms of
            the last window of each segment.
        """
        gelu = nn.functional.gelu
        x = gelu(self.conv2(gelu(self.conv1(segments.transpose(1, 2))))).transpose(1, 2)
        x = x + self.embed_positions.weight
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x[:, -POOLED * STEPS :])
        return torch.cat(outputs, dim=2).reshape(-1, STEPS, POOLED, self.features).mean(dim=2)
