"""Bring log-mel patches to one loudness, and estimate the share of speech in them.

The recorded level depends more on the distance of the microphone than on the emotion. So each
window is brought to a reference loudness. Loudness is measured on the sound up to the window's
end, so that a stream and a file give the same result.

Loudness is the power of the frames, weighted by their own power: pauses have almost no weight, and
no threshold defines a pause.
"""

import torch
from torch import Tensor, nn

from affekt.audio.windows import LOG_OFFSET, PATCH

#: Power of a frame (its squared mel magnitudes summed) at the reference loudness: speech with a
#: root mean square of 0.05, in the middle of YAMNet's training data.
REFERENCE = 480.0
FLOOR = 1e-3 * REFERENCE  # a lower loudness is silence and is not brought up further
HALF = 10**-2.5  # of the reference: a frame 25 dB softer counts half as speech

State = dict[str, Tensor]


class RunningLoudness(nn.Module):
    """Bring each window to the reference loudness, measured on all windows so far.

    Args:
        decay: factor by which a window's weight decays from one window to the next, in (0, 1].
    """

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.state = {"loudness_power": (1,), "loudness_square": (1,)}

    def forward(self, patches: Tensor, state: State) -> tuple[Tensor, State]:
        """Normalize the loudness of log-mels of magnitudes.

        Args:
            patches: ``(clips, windows, 96, 64)``; so are those returned.
            state: after the windows before, each ``(clips, 1)``; that after the last is returned.
        """
        magnitudes = patches.exp() - LOG_OFFSET
        power = magnitudes.square().sum(dim=3)  # of each frame
        loudness, after = running_loudness(power, state, self.decay)
        gain = (REFERENCE / loudness.clamp_min(FLOOR)).sqrt()
        return torch.log(magnitudes * gain[..., None] + LOG_OFFSET), after


def running_loudness(power: Tensor, state: State, decay: float) -> tuple[Tensor, State]:
    """Measure the loudness up to the end of each window from the power of each frame.

    Power is ``(clips, windows, frames)``, loudness ``(clips, windows, 1)``. The state is
    ``loudness_power`` and ``loudness_square`` after the windows before; that after the last window
    is returned. The decay is that of :func:`decaying_sums`.
    """
    linear = decaying_sums(power.sum(2, keepdim=True), state["loudness_power"], decay)
    square = power.square().sum(2, keepdim=True)
    square = decaying_sums(square, state["loudness_square"], decay)
    after = {"loudness_power": linear[:, -1], "loudness_square": square[:, -1]}
    return square / linear.clamp_min(1e-9), after


def speech_shares(patches: Tensor, steps: int) -> Tensor:
    """Estimate the share of speech, ``(windows, steps)`` in [0, 1), from loudness alone.

    Args:
        patches: ``(windows, 96, 64)`` log-mels at the reference loudness.
        steps: of a window; divides 96.
    """
    power = (patches.exp() - LOG_OFFSET).square().sum(dim=2)
    shares = power / (power + HALF * REFERENCE)
    return shares.reshape(-1, steps, PATCH // steps).mean(dim=2)


def decaying_sums(values: Tensor, before: Tensor, decay: float) -> Tensor:
    """Sum all windows so far, the older ones with exponentially smaller weights.

    Args:
        values: ``(clips, windows, ...)``.
        before: ``(clips, ...)``: the sum before the first of them.
        decay: factor by which a sum decays from one window to the next, in (0, 1].

    Returns:
        ``(clips, windows, ...)``: at each window the sum up to and including it.
    """
    order = torch.arange(values.shape[1], device=values.device)
    ages = (order[:, None] - order).to(values.dtype)  # of window j at window i
    weights = torch.where(ages >= 0, decay ** ages.clamp_min(0.0), 0.0)
    flat = values.flatten(2)
    sums = weights @ flat + decay ** (order[:, None] + 1.0) * before.flatten(1)[:, None]
    return sums.reshape(values.shape)
