"""Clips of a speaker to that speaker's profile: drawn anew in training, by rule in testing.

A network that is to work with few clips is trained with few: each training clip is normalized by
a handful of its speaker's other clips, often by none. A tested clip is never in its own profile.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from affekt.corpora.manifest import Manifest
from affekt.experiments.activations import Activations
from affekt.model.loudness import State

MOST = 64  # clips of a profile drawn in training
NOBODY = 0.25  # of the training clips, which have no profile
AMOUNTS = (1, 2, 4, 8, 16)  # random clips
ONE_MOOD = 4  # clips
ADAPTIVE = "adaptive"


def draw_profiles(
    voices: Sequence[Activations],
    clips: NDArray[np.int64],
    spoken: NDArray[np.int64],
    others: Mapping[int, NDArray[np.int64]],
    generator: np.random.Generator,
) -> State:
    """A profile for each clip of a batch, from random other clips of its speaker.

    Args:
        voices: of one manifest.
        clips: ``(clips,)`` rows of the batch.
        spoken: ``(clips,)`` the voice of each; its profile is of the same voice.
        others: rows of the training part with the same speaker, for each row.
        generator: what decides.

    Returns:
        Sums as :class:`~affekt.model.speaker.SpeakerNorm` takes them.
    """
    profiles = []
    for clip, voice in zip(clips, spoken, strict=True):
        amount = int(np.exp(generator.uniform(0.0, np.log(MOST + 1))))
        if generator.random() < NOBODY:
            amount = 0
        pool = others[int(clip)]
        amount = min(amount, len(pool))
        chosen = generator.choice(pool, amount, replace=False) if amount else pool[:0]
        profiles.append(profile_of(voices[voice], chosen))
    return {name: torch.stack([each[name] for each in profiles]) for name in profiles[0]}


def profile_of(voice: Activations, clips: NDArray[np.int64]) -> State:
    """The profile that some clips of one speaker make: zeros where there are none."""
    return {name: sums[clips].sum(0) for name, sums in voice.sums.items()}


def same_speaker(manifest: Manifest, clips: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    """Of each clip the other clips of its speaker, among ``clips``."""
    speakers = np.array([manifest.clips[row].speaker for row in clips])
    return {
        int(row): clips[(speakers == speaker) & (clips != row)]
        for row, speaker in zip(clips, speakers, strict=True)
    }


def enrolments(
    manifest: Manifest, clips: NDArray[np.int64], *, seed: Sequence[int]
) -> Iterator[tuple[str, dict[int, NDArray[np.int64]]]]:
    """What tested speakers are enrolled with, one condition after the other.

    Args:
        manifest: whose clips.
        clips: ``(clips,)`` rows that are tested.
        seed: whole numbers that random clips follow from.

    Yields:
        The condition, ``random-<n>``, ``all`` or ``<label>-4``, and the rows that enrol for each
        tested row; never itself.
    """
    pools = same_speaker(manifest, clips)
    labels = np.array([clip.label for clip in manifest.clips])

    def drawn(
        name: str, pool_of: dict[int, NDArray[np.int64]], amount: int
    ) -> dict[int, NDArray[np.int64]]:
        generator = np.random.default_rng([*seed, *name.encode()])
        return {
            row: generator.choice(pool, min(amount, len(pool)), replace=False)
            for row, pool in pool_of.items()
        }

    for amount in AMOUNTS:
        name = f"random-{amount}"
        yield name, drawn(name, pools, amount)
    yield "all", pools
    for label in manifest.labels:
        name = f"{label}-{ONE_MOOD}"
        moody = {row: pool[labels[pool] == label] for row, pool in pools.items()}
        yield name, drawn(name, moody, ONE_MOOD)
