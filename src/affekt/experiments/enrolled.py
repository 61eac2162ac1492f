"""A trained network to its answers for test clips whose speakers are known: the enrolment curve."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from affekt.corpora.manifest import Manifest
from affekt.experiments.material import Material
from affekt.experiments.profiles import ADAPTIVE, enrolments, profile_of, same_speaker
from affekt.experiments.training import predict
from affekt.model.classifier import Classifier


def answer_enrolled(
    classifier: Classifier,
    material: Material,
    manifest: Manifest,
    clips: NDArray[np.int64],
    *,
    seed: Sequence[int],
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Answer test clips once for each way to know their speakers.

    Args:
        classifier: the trained network.
        material: of the whole manifest.
        manifest: whose clips.
        clips: ``(clips,)`` rows that are tested.
        seed: whole numbers that random clips follow from.

    Yields:
        The condition and probabilities ``(clips, labels)``: those of
        :func:`~affekt.experiments.profiles.enrolments`, and ``adaptive``, where nobody enrols
        and each clip is answered by what was heard of its speaker so far, itself included.
    """
    recorded = material.activations[0]
    for name, enrolling in enrolments(manifest, clips, seed=seed):
        each = [profile_of(recorded, enrolling[int(row)]) for row in clips]
        profiles = {key: torch.stack([profile[key] for profile in each]) for key in each[0]}
        logits = predict(classifier, material, clips, profiles=profiles)
        yield name, logits.softmax(dim=1).numpy()
    yield ADAPTIVE, _adaptively(classifier, material, manifest, clips, seed)


@torch.inference_mode()
def _adaptively(
    classifier: Classifier,
    material: Material,
    manifest: Manifest,
    clips: NDArray[np.int64],
    seed: Sequence[int],
) -> NDArray[np.float32]:
    """The clips of each speaker one after the other, in random order."""
    assert classifier.speaker is not None
    order = np.random.default_rng([*seed, *ADAPTIVE.encode()]).permutation(clips)
    others = same_speaker(manifest, clips)
    found: dict[int, NDArray[np.float32]] = {}
    learn = torch.ones(1, device=classifier.device)
    for first in order:
        if int(first) in found:
            continue
        mine = {int(first), *map(int, others[int(first)])}
        profile = {name: classifier.start(1)[name] for name in classifier.speaker.state}
        for row in (int(row) for row in order if int(row) in mine):
            embedded = material.embed(classifier, np.array([row]))
            answers, after = classifier.answers(*embedded, profile, adapt=learn)
            profile = {name: after[name] for name in profile}
            found[row] = answers[0, -1].softmax(dim=0).cpu().numpy()
    return np.stack([found[int(row)] for row in clips])
