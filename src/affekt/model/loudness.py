"""Log-mel patches to patches of one loudness, or of one spectrum too; how much of them is speech.

A recording's level says how far the microphone was, not how somebody feels. So each window is
brought to the same loudness, by what was heard up to its end and no more: the sound may go on
for ever, and a stream hears what a file hears.

Loudness is the power of the frames, each weighted by its own power: pauses count for nothing and
no threshold decides what a pause is.

Rooms and microphones, and languages, colour all of a recording alike. Half of a colour can be taken
off in the same way; all of it would take what a mood does to a voice along.
"""

import torch
from torch import Tensor, nn

from affekt.audio.windows import LOG_OFFSET, MEL_BANDS, PATCH

#: Power of a frame (its squared mel magnitudes summed) that loudness is brought to: speech of
#: 0.05 root mean square while it is spoken, amid what YAMNet was trained on.
REFERENCE = 480.0
FLOOR = 1e-3 * REFERENCE  # loudness below it is silence and is not brought up
HALF = 10**-2.5  # of the reference: a frame this much softer, 25 dB, counts half as speech
COLOUR = 0.5  # of what the mean spectrum departs from a flat one, as taken off
COLOUR_FRAMES = 25.0  # of flat speech, heard before the first: a spectrum is not known at once

State = dict[str, Tensor]


class RunningLoudness(nn.Module):
    """Bring each window to the reference loudness, measured from all windows so far.

    Args:
        keep: what is left of a window's share in the measure one window later, in (0, 1].
    """

    def __init__(self, keep: float) -> None:
        super().__init__()
        self.keep = keep
        self.state = {"loudness_power": (1,), "loudness_square": (1,)}

    def forward(self, patches: Tensor, state: State) -> tuple[Tensor, State]:
        """Patches of one loudness.

        Args:
            patches: ``(clips, windows, 96, 64)`` log-mels of magnitudes.
            state: what was returned for the windows before; each ``(clips, 1)``.

        Returns:
            Patches of the same shape, and the state after the last window.
        """
        magnitudes = patches.exp() - LOG_OFFSET
        power = magnitudes.square().sum(dim=3)  # of each frame
        linear = fading_sums(power.sum(2, keepdim=True), state["loudness_power"], self.keep)
        square = power.square().sum(2, keepdim=True)
        square = fading_sums(square, state["loudness_square"], self.keep)
        loudness = (square / linear.clamp_min(1e-9)).clamp_min(FLOOR)
        gain = (REFERENCE / loudness).sqrt()
        leveled = torch.log(magnitudes * gain[..., None] + LOG_OFFSET)
        return leveled, {"loudness_power": linear[:, -1], "loudness_square": square[:, -1]}


class RunningSpectrum(RunningLoudness):
    """Bring each window to the reference loudness and halfway to a flat mean spectrum.

    The mean log-mel of speech is flat within 1, since the bands grow wider upwards. What a voice
    so far departs from that, frames weighted by their share of speech, a gain a band halves.

    Args:
        keep: what is left of a window's share in both measures one window later, in (0, 1].
    """

    def __init__(self, keep: float) -> None:
        super().__init__(keep)
        self.state |= {"spectrum_weight": (1,), "spectrum_sum": (MEL_BANDS,)}

    def forward(self, patches: Tensor, state: State) -> tuple[Tensor, State]:
        """Patches of one loudness and half a colour; arguments and values as of loudness."""
        leveled, after = super().forward(patches, state)
        shares = speech_shares(leveled.flatten(0, 1), PATCH).reshape(leveled.shape[:3])
        weight = fading_sums(shares.sum(2, keepdim=True), state["spectrum_weight"], self.keep)
        heard = (shares[..., None] * leveled).sum(dim=2)
        heard = fading_sums(heard, state["spectrum_sum"], self.keep)
        colour = (heard - heard.mean(dim=2, keepdim=True)) / (weight + COLOUR_FRAMES)
        gain = (-COLOUR * colour).exp()
        flattened = torch.log((leveled.exp() - LOG_OFFSET) * gain[:, :, None] + LOG_OFFSET)
        after |= {"spectrum_weight": weight[:, -1], "spectrum_sum": heard[:, -1]}
        return flattened, after


def speech_shares(patches: Tensor, steps: int) -> Tensor:
    """How much of each step is speech, by its loudness alone.

    Args:
        patches: ``(windows, 96, 64)`` log-mels at the reference loudness.
        steps: how many a window has; divides 96.

    Returns:
        ``(windows, steps)`` in [0, 1).
    """
    power = (patches.exp() - LOG_OFFSET).square().sum(dim=2)
    shares = power / (power + HALF * REFERENCE)
    return shares.reshape(-1, steps, PATCH // steps).mean(dim=2)


def fading_sums(values: Tensor, before: Tensor, keep: float) -> Tensor:
    """Sums of all windows so far, older ones fading.

    Args:
        values: ``(clips, windows, ...)``.
        before: ``(clips, ...)``: the sum when the first of them comes.
        keep: what is left of a sum one window later, in (0, 1].

    Returns:
        ``(clips, windows, ...)``: at each window the sum up to and with it.
    """
    order = torch.arange(values.shape[1], device=values.device)
    ages = (order[:, None] - order).to(values.dtype)  # of window j at window i
    fading = torch.where(ages >= 0, keep ** ages.clamp_min(0.0), 0.0)
    flat = values.flatten(2)
    sums = fading @ flat + keep ** (order[:, None] + 1.0) * before.flatten(1)[:, None]
    return sums.reshape(values.shape)
