"""Choose the clips that a speaker is enrolled with: at random in training, by rule in tests.

A network must work with few enrolment clips, so it is trained with few: each training clip is
normalized by some of its speaker's other clips, often by none. A clip is never in its own profile.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from affekt.corpora.manifest import Manifest
from affekt.experiments.feature_cache import Features
from affekt.experiments.minibatches import Inputs, predict
from affekt.model.classifier import Classifier
from affekt.model.loudness import State

MOST = 64  # clips of a profile in training
UNENROLLED = 0.25  # share of the training clips without a profile
AMOUNTS = (1, 2, 4, 8, 16)  # random clips
ONE_EMOTION = 4  # clips
ADAPTIVE = "adaptive"


def draw_profiles(
    features: Sequence[Features],
    clips: NDArray[np.int64],
    speakers: NDArray[np.int64],
    others: Mapping[int, NDArray[np.int64]],
    generator: np.random.Generator,
) -> State:
    """Draw a profile for each clip of a mini-batch, from random other clips of its speaker.

    Args:
        clips: ``(clips,)`` rows of the mini-batch.
        speakers: ``(clips,)`` number of the simulated speaker of each, for its profile too.
        others: rows of the training part with the same speaker, for each row.

    Returns:
        Sums as :class:`~affekt.model.speaker_normalization.SpeakerNormalization` takes them.
    """
    profiles = []
    for clip, speaker in zip(clips, speakers, strict=True):
        amount = int(np.exp(generator.uniform(0.0, np.log(MOST + 1))))
        if generator.random() < UNENROLLED:
            amount = 0
        pool = others[int(clip)]
        amount = min(amount, len(pool))
        chosen = generator.choice(pool, amount, replace=False) if amount else pool[:0]
        profiles.append(profile_of(features[speaker], chosen))
    return stacked(profiles)


def profile_of(features: Features, clips: NDArray[np.int64]) -> State:
    """Sum up the profile of some clips of one speaker; zeros without clips."""
    return {name: sums[clips].sum(0) for name, sums in features.sums.items()}


def stacked(profiles: Iterable[State]) -> State:
    """Stack one profile or more: ``(profiles, ...)``."""
    first, *others = profiles
    return {name: torch.stack([first[name], *(o[name] for o in others)]) for name in first}


def same_speaker(manifest: Manifest, clips: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    """For each clip the other clips of its speaker, among ``clips``."""
    speakers = np.array([manifest.clips[row].speaker for row in clips])
    return {
        int(row): clips[(speakers == speaker) & (clips != row)]
        for row, speaker in zip(clips, speakers, strict=True)
    }


def enrolments(
    manifest: Manifest, clips: NDArray[np.int64], *, seed: Sequence[int]
) -> Iterator[tuple[str, dict[int, NDArray[np.int64]]]]:
    """List the enrolment clips of the test speakers, one condition after the other.

    Args:
        clips: ``(clips,)`` rows of the test clips.
        seed: whole numbers; seeds the random clips.

    Yields:
        The condition, ``random-<n>``, ``all`` or ``<label>-4``, and the enrolment rows of each
        test row, never itself.
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
        name = f"{label}-{ONE_EMOTION}"
        pools_of_label = {row: pool[labels[pool] == label] for row, pool in pools.items()}
        yield name, drawn(name, pools_of_label, ONE_EMOTION)


def predict_enrolled(
    classifier: Classifier,
    inputs: Inputs,
    manifest: Manifest,
    clips: NDArray[np.int64],
    *,
    seed: Sequence[int],
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Predict the test clips once for each enrolment of their speakers.

    Yields:
        The condition and probabilities ``(clips, labels)``: those of :func:`enrolments`, and
        ``adaptive``: no enrolment, but the profile adapts to the clips of the speaker so far, the
        current one included.
    """
    for name, enrolling in enrolments(manifest, clips, seed=seed):
        profiles = stacked(profile_of(inputs.features[0], enrolling[int(row)]) for row in clips)
        logits = predict(classifier, inputs, clips, profiles=profiles)
        yield name, logits.softmax(dim=1).numpy()
    yield ADAPTIVE, _adaptively(classifier, inputs, manifest, clips, seed)


@torch.inference_mode()
def _adaptively(
    classifier: Classifier,
    inputs: Inputs,
    manifest: Manifest,
    clips: NDArray[np.int64],
    seed: Sequence[int],
) -> NDArray[np.float32]:
    """Predict the clips one after the other, in random order."""
    assert classifier.speaker is not None
    order = np.random.default_rng([*seed, *ADAPTIVE.encode()]).permutation(clips)
    unknown = {name: classifier.start(1)[name] for name in classifier.speaker.state}
    profiles: dict[str, State] = {}  # by speaker
    found: dict[int, NDArray[np.float32]] = {}
    adapt = torch.ones(1, device=classifier.device)
    for row in map(int, order):
        speaker, encoded = manifest.clips[row].speaker, inputs.encode(classifier, np.array([row]))
        profile = profiles.get(speaker, unknown)
        logits, after = classifier.logits_by_window(*encoded, profile, adapt=adapt)
        profiles[speaker] = {name: after[name] for name in unknown}
        found[row] = logits[0, -1, 0].softmax(dim=0).cpu().numpy()
    return np.stack([found[int(row)] for row in clips])
