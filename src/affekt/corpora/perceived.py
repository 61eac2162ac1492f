"""Mix acted labels with perceived ones, where a corpus publishes their votes.

Actors' emotions are often not perceived in the voice alone: of CREMA-D's clips that were acted as
happy, 52 % were perceived as neutral. A network that must call them happy learns what its other
corpora contradict. Listeners choose neutral far more often, though; the logarithm of each label's
share is added to the logits in training, so that the network itself favours no label.

Source: Menon et al., "Long-tail learning via logit adjustment" (2021), for the second step.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from affekt.corpora import CORPORA
from affekt.corpora.joined import JOINT, corpus_of
from affekt.corpora.manifest import Manifest


@dataclass(frozen=True)
class PerceivedLabels:
    """Labels of the loss, in which the perceived emotion has a share."""

    shares: NDArray[np.float32]  #: ``(clips, labels)`` float32; each row sums to 1
    #: ``(clips, labels)`` float32: logarithm of the mean share of each label in the clip's corpus,
    #: all acted labels weighted the same; added to the logits
    log_priors: NDArray[np.float32]


def perceived_labels(manifest: Manifest, clips: NDArray[np.int64], share: float) -> PerceivedLabels:
    """Compute the labels of some clips.

    Args:
        clips: ``(clips,)`` rows of the manifest, at least one.
        share: of the perceived emotion in the label of a clip, in (0, 1].

    Raises:
        CorpusError: a corpus' table of votes is missing or not the published one.
    """
    chosen = [manifest.clips[row] for row in clips]
    truth = np.array([manifest.labels.index(clip.label) for clip in chosen])
    corpora = np.array([corpus_of(clip.speaker) for clip in chosen])
    shares = np.eye(len(manifest.labels))[truth]
    log_priors = np.zeros_like(shares)
    for name in np.unique(corpora):
        rows = np.flatnonzero(corpora == name)
        read = CORPORA[name].perceived if name in CORPORA else None
        if read is None:
            continue
        votes = read(manifest.root / name if JOINT in manifest.corpus else manifest.root)
        for row in rows:
            cast = votes.get(PurePosixPath(chosen[row].file).stem)
            if cast:
                shares[row] += share * (_shares(cast, manifest.labels) - shares[row])
        acted = [shares[rows[truth[rows] == label]].mean(axis=0) for label in set(truth[rows])]
        log_priors[rows] = np.log(np.mean(acted, axis=0).clip(1e-3))
    return PerceivedLabels(shares.astype(np.float32), log_priors.astype(np.float32))


def _shares(cast: tuple[str, ...], labels: tuple[str, ...]) -> NDArray[np.float64]:
    """Each label's share of the winners of a vote; winners that are no label count for all."""
    found = np.array([cast.count(label) / len(cast) for label in labels])
    shares: NDArray[np.float64] = found + (1.0 - found.sum()) / len(labels)
    return shares
