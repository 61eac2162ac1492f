"""Normalize features by the statistics of their speaker, with a population prior.

Features differ more between speakers than between emotions. A speaker's profile is the mean and
deviation of each feature over any speech of that person: no sound, no labels, a few kilobytes.
Subtracting the mean and dividing by the deviation leaves what differs from the person's average.

A profile is kept as sums, so that it grows by addition. The statistics are shrunk towards those of
the training population, whose weight is some seconds of speech. Sums of zero mean no enrolment and
give the population's statistics.
"""

import torch
from torch import Tensor, nn

from affekt.model.loudness import State, decaying_sums

PRIOR_SECONDS = 5.0  # of speech: weight of the population
SMALLEST = 1e-4  # variance of a feature that hardly varies


class SpeakerNormalization(nn.Module):
    """Normalize features by the speaker's profile.

    Args:
        features: of a step.
        prior: weight of the population, in steps of speech.
        decay: of the sums of an adapting profile, from one window to the next.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, features: int, prior: float, decay: float) -> None:
        super().__init__()
        self.prior, self.decay = prior, decay
        self.state = {
            "speaker_weight": (1,),
            "speaker_sum": (features,),
            "speaker_square": (features,),
        }
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("variance", torch.ones(features))

    def set_population(self, sums: State) -> None:
        """Set mean and variance of the training population from its :func:`window_sums`."""
        mean = sums["speaker_sum"] / sums["speaker_weight"]
        self.mean.copy_(mean)
        self.variance.copy_(sums["speaker_square"] / sums["speaker_weight"] - mean.square())

    def forward(
        self, steps: Tensor, shares: Tensor, state: State, adapt: Tensor
    ) -> tuple[Tensor, Tensor, State]:
        """Normalize features.

        Args:
            steps: ``(clips, windows, steps, features)``.
            shares: ``(clips, windows, steps)``: share of speech in each step.
            state: the profile so far, ``(clips, 1)`` and twice ``(clips, features)``.
            adapt: ``(1,)``: 1 adds each window to the profile before it is normalized, 0 leaves
                the profile unchanged.

        Returns:
            Features of the same shape; ``(clips, windows, 1)``, the weight of the population in
            the statistics of each window, 1 without enrolment; and the profile after the last
            window.
        """
        after = {}
        for name, sums in window_sums(steps, shares).items():
            adapted = decaying_sums(sums, state[name], self.decay)
            after[name] = adapt * adapted + (1.0 - adapt) * state[name][:, None]
        weight = after["speaker_weight"] + self.prior
        mean = (after["speaker_sum"] + self.prior * self.mean) / weight
        square = self.prior * (self.variance + self.mean.square())
        square = (after["speaker_square"] + square) / weight
        deviation = (square - mean.square()).clamp_min(SMALLEST).sqrt()
        normalized = (steps - mean[:, :, None]) / deviation[:, :, None]
        return normalized, self.prior / weight, {name: sums[:, -1] for name, sums in after.items()}


def window_sums(steps: Tensor, shares: Tensor) -> State:
    """Sum over steps what each window adds to a profile: ``(..., 1)``, twice ``(..., features)``.

    Args:
        steps: ``(..., steps, features)``.
        shares: ``(..., steps)``: share of speech in each step.
    """
    weighted = steps * shares[..., None]
    return {
        "speaker_weight": shares.sum(-1, keepdim=True),
        "speaker_sum": weighted.sum(-2),
        "speaker_square": (weighted * steps).sum(-2),
    }
