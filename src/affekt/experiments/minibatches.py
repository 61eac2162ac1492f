"""Draw mini-batches of clips, and encode them with the trunk or from cached features."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from affekt.experiments.feature_cache import Features, Patches
from affekt.model.classifier import Classifier
from affekt.model.loudness import State

EVALUATION_BATCH = 48  # clips; changes speed and memory, not results


@dataclass(frozen=True)
class Inputs:
    """All clips of a manifest as the network needs them."""

    #: one entry for the original recordings and one for each simulated speaker; empty if the
    #: features of a frozen trunk are cached
    patches: tuple[Patches, ...] = ()
    #: likewise, of a frozen trunk; empty if the trunk is trained
    features: tuple[Features, ...] = ()

    def encode(
        self,
        classifier: Classifier,
        clips: NDArray[np.int64],
        speakers: NDArray[np.int64] | None = None,
        *,
        bfloat16: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The trunk's outputs for some clips.

        Args:
            clips: ``(clips,)`` rows of the manifest.
            speakers: ``(clips,)`` number of the simulated speaker of each; 0 by default.
            bfloat16: whether the trunk computes in bfloat16.

        Returns:
            Steps ``(windows, steps, features)``, shares ``(windows, steps)``, lengths ``(clips,)``.
        """
        speakers = np.zeros_like(clips) if speakers is None else speakers
        pairs = [*zip(clips, speakers, strict=True)]
        device = classifier.device
        if self.features:
            own = [(self.features[s], slice(*self.features[s].starts[c : c + 2])) for c, s in pairs]
            halves = torch.from_numpy(np.concatenate([f.steps[windows] for f, windows in own]))
            shares = torch.from_numpy(np.concatenate([f.shares[windows] for f, windows in own]))
            lengths = torch.tensor([windows.stop - windows.start for _, windows in own])
            return halves.float().to(device), shares.to(device), lengths
        parts = [self.patches[s].gather([c]) for c, s in pairs]
        patches = torch.cat(parts).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            steps = classifier.trunk(patches)
        # in float32: oneDNN's bfloat16 LSTM crashes with an illegal instruction on some processors
        return steps.float(), classifier.shares(patches), torch.tensor([len(p) for p in parts])


def shuffled(
    clips: NDArray[np.int64], size: int, *, seed: Sequence[int]
) -> Iterator[NDArray[np.int64]]:
    """Yield the mini-batches of one epoch: ``(size,)`` rows in random order; the last may be fewer.

    The order depends on nothing but the seed, such as the recipe's seed, fold and epoch, so that a
    resumed run draws the same mini-batches.
    """
    order = np.random.default_rng(seed).permutation(clips)
    for start in range(0, len(order), size):
        yield order[start : start + size]


@torch.inference_mode()
def predict(
    classifier: Classifier,
    inputs: Inputs,
    clips: NDArray[np.int64],
    *,
    profiles: State | None = None,
    batch: int = EVALUATION_BATCH,
) -> Tensor:
    """Compute logits ``(clips, labels)`` of some clips, the network in evaluation mode."""
    classifier.eval()
    found = []
    for at in range(0, len(clips), batch):
        rows = slice(at, at + batch)
        of_rows = {name: sums[rows] for name, sums in profiles.items()} if profiles else None
        encoded = inputs.encode(classifier, clips[rows])
        found.append(classifier.read(*encoded, of_rows).cpu())
    return torch.cat(found)
