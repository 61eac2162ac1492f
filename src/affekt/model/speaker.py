"""Activations to activations as if everybody had one voice: the personal profile.

Voices differ more than emotions do. What a middle layer says of a person's speech on the whole,
the mean and deviation of each of its channels, is that person's profile: no sound, no labels, a
few kilobytes. Taken off and divided out, it leaves how the person speaks now.

A profile is kept as sums, so that it grows by adding; it is shrunk towards the population that
the network was trained on by a prior that weighs as much as some seconds of speech. Sums of zero
are nobody, and give the population's.
"""

import torch
from torch import Tensor, nn

from affekt.model.loudness import State, fading_sums

PRIOR_SECONDS = 5.0  # of speech that the population weighs as much as
SMALLEST = 1e-4  # variance of a channel that hardly moves


class SpeakerNorm(nn.Module):
    """Normalize activations by the profile of who speaks.

    Args:
        features: of a step.
        prior: steps of speech that the population weighs as much as.
        keep: what is left of a window's share in an adapting profile one window later.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, features: int, prior: float, keep: float) -> None:
        super().__init__()
        self.prior, self.keep = prior, keep
        self.state = {
            "speaker_weight": (1,),
            "speaker_sum": (features,),
            "speaker_square": (features,),
        }
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("variance", torch.ones(features))

    def set_population(self, sums: State) -> None:
        """Take mean and variance of the training population from its :func:`window_sums`."""
        mean = sums["speaker_sum"] / sums["speaker_weight"]
        self.mean.copy_(mean)
        self.variance.copy_(sums["speaker_square"] / sums["speaker_weight"] - mean.square())

    def forward(
        self, steps: Tensor, shares: Tensor, state: State, adapt: Tensor
    ) -> tuple[Tensor, Tensor, State]:
        """Normalized activations.

        Args:
            steps: ``(clips, windows, steps, features)``.
            shares: ``(clips, windows, steps)``: how much of each step is speech.
            state: the profile so far, ``(clips, 1)`` and twice ``(clips, features)``.
            adapt: ``(1,)``: 1 lets each window join the profile before it is normalized, 0
                leaves the profile as it is.

        Returns:
            Activations of the same shape; ``(clips, windows, 1)``, how much of the profile that
            each window was normalized by is the population's, 1 where nobody is known; and the
            profile after the last window.
        """
        own = window_sums(steps, shares)
        after = {}
        for name, before in state.items():
            heard = fading_sums(own[name], before, self.keep)
            after[name] = adapt * heard + (1.0 - adapt) * before[:, None]
        weight = after["speaker_weight"] + self.prior
        mean = (after["speaker_sum"] + self.prior * self.mean) / weight
        square = self.prior * (self.variance + self.mean.square())
        square = (after["speaker_square"] + square) / weight
        deviation = (square - mean.square()).clamp_min(SMALLEST).sqrt()
        normalized = (steps - mean[:, :, None]) / deviation[:, :, None]
        return normalized, self.prior / weight, {name: sums[:, -1] for name, sums in after.items()}


def window_sums(steps: Tensor, shares: Tensor) -> State:
    """What each window adds to a profile.

    Args:
        steps: ``(..., steps, features)``.
        shares: ``(..., steps)``.

    Returns:
        ``(..., 1)`` and twice ``(..., features)``: the sums over steps of their shares, of the
        activations and of their squares.
    """
    weighted = steps * shares[..., None]
    return {
        "speaker_weight": shares.sum(-1, keepdim=True),
        "speaker_sum": weighted.sum(-2),
        "speaker_square": (weighted * steps).sum(-2),
    }
