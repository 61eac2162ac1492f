"""Patches to what a frozen CNN makes of them, kept on disk: no epoch and no fold runs it again.

Batch norms that were folded away are given back from training windows of the fold, which changes
no activation by more than rounding; so one file serves all folds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from affekt.experiments.batches import Patches, cached, each_clip
from affekt.model.classifier import Classifier
from affekt.model.loudness import State
from affekt.model.speaker import window_sums

FORMAT = 1  # of the files; part of their digest


@dataclass(frozen=True)
class Activations:
    """What a frozen CNN makes of all clips of a manifest, spoken in one voice.

    Attributes:
        steps: ``(windows, steps, features)`` float16, clip after clip, read as needed.
        shares: ``(windows, steps)`` float32: how much of each step is speech.
        starts: ``(clips + 1,)`` first window of each clip, and the end.
        sums: what each clip adds to its speaker's profile, ``(clips, 1)`` and twice
            ``(clips, features)`` float32.
    """

    steps: NDArray[np.float16]
    shares: NDArray[np.float32]
    starts: NDArray[np.int64]
    sums: State


def load_activations(
    classifier: Classifier, patches: Patches, cache: Path, *, facts: Sequence[object], what: str
) -> Activations:
    """Activations of all clips, from the cache, or computed and then kept there.

    Args:
        classifier: whose CNN.
        patches: of the whole manifest in one voice.
        cache: folder that keeps them.
        facts: all that patches and CNN depend on.
        what: the words beside the progress bar.

    Raises:
        RunError: the cache cannot be written.
    """
    classifier = classifier.eval()
    starts = patches.starts

    def of(clip: int) -> tuple[NDArray[np.float16], NDArray[np.float32], NDArray[np.float32]]:
        with torch.inference_mode():
            windows, _ = patches.gather([clip])
            steps = classifier.trunk(windows.to(classifier.device)).cpu()
            shares = classifier.shares(windows)
            sums = torch.cat([part.sum(0) for part in window_sums(steps, shares).values()])
        return steps.half().numpy(), shares.numpy(), sums.numpy()

    def compute() -> tuple[NDArray[np.float16], NDArray[np.float32], NDArray[np.float32]]:
        steps, shares, sums = zip(*each_clip(of, len(starts) - 1, what), strict=True)
        return np.concatenate(steps), np.concatenate(shares), np.stack(sums)

    paths = cached(cache, ("steps", "shares", "sums"), [FORMAT, *facts], compute)
    steps, shares, sums = (np.load(path, mmap_mode="r") for path in paths)
    weight, each, square = np.split(np.array(sums), [1, 1 + classifier.trunk.features], axis=1)
    profile = {
        "speaker_weight": torch.from_numpy(weight),
        "speaker_sum": torch.from_numpy(each),
        "speaker_square": torch.from_numpy(square),
    }
    return Activations(steps, np.array(shares), starts, profile)


def gather(
    voices: Sequence[Activations], clips: NDArray[np.int64], spoken: NDArray[np.int64]
) -> tuple[Tensor, Tensor, Tensor]:
    """The activations of some clips.

    Args:
        voices: of one manifest.
        clips: ``(clips,)`` rows of the manifest.
        spoken: ``(clips,)`` the voice of each.

    Returns:
        Steps ``(windows, steps, features)``, shares ``(windows, steps)``, lengths ``(clips,)``.
    """
    parts = [
        (voices[voice], slice(voices[voice].starts[clip], voices[voice].starts[clip + 1]))
        for clip, voice in zip(clips, spoken, strict=True)
    ]
    steps = np.concatenate([voice.steps[windows] for voice, windows in parts])
    shares = np.concatenate([voice.shares[windows] for voice, windows in parts])
    lengths = torch.tensor([windows.stop - windows.start for _, windows in parts])
    return torch.from_numpy(steps).float(), torch.from_numpy(shares), lengths
