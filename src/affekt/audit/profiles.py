"""Measure how well a profile tells who a person is.

Two profiles of each speaker, of 8 random clips each, are compared by cosine similarity with those
of all other speakers of the corpus. A better comparison may identify people better.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_curve
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import scale

from affekt.audio.windows import SAMPLE_RATE
from affekt.audit.answers import Chosen
from affekt.corpora import Manifest
from affekt.corpora.joined import corpus_of
from affekt.inference.predictor import Predictor

CLIPS = 8  # of a profile


def pairs_of_profiles(manifests: Sequence[Manifest], seed: int) -> list[tuple[Chosen, ...]]:
    """Draw the clips of both profiles, of each speaker who has enough of them."""
    drawn = []
    for manifest in manifests:
        for speaker in manifest.speakers:
            named = zip(manifest.names, manifest.clips, strict=True)
            own = [Chosen(manifest, name, clip) for name, clip in named if clip.speaker == speaker]
            if len(own) >= 2 * CLIPS:
                picked = np.random.default_rng(seed).choice(len(own), 2 * CLIPS, replace=False)
                drawn.append(tuple(own[at] for at in picked))
    return drawn


def identification(predictor: Predictor, drawn: Iterable[tuple[Chosen, ...]]) -> pd.DataFrame:
    """Compare the two profiles of each speaker with those of all others.

    Args:
        predictor: a model with speaker normalization.
        drawn: of each speaker the clips of both profiles, from :func:`pairs_of_profiles`.

    Returns:
        A row for each corpus: ``corpus``, ``speakers``, ``eer`` (equal error rate of accepting
        others and of rejecting the same person), ``identified`` (share of speakers whose other
        profile is the most similar one; chance is 1 / speakers).
    """
    profiles: dict[str, list[list[NDArray[np.float32]]]] = {}
    for clips in drawn:
        both = []
        for half in (clips[:CLIPS], clips[CLIPS:]):
            profile = predictor.enroll((clip.read() for clip in half), sample_rate=SAMPLE_RATE)
            both.append(np.concatenate([profile.mean, profile.deviation]))
        profiles.setdefault(corpus_of(clips[0].clip.speaker), []).append(both)
    rows = [
        {"corpus": corpus, "speakers": len(found), **scores_of(np.array(found, np.float64))}
        for corpus, found in profiles.items()
        if len(found) > 1
    ]
    return pd.DataFrame(rows, columns=["corpus", "speakers", "eer", "identified"])


def scores_of(profiles: NDArray[np.floating]) -> dict[str, float]:
    """Compute ``eer`` and ``identified`` of ``(speakers, 2, features)``."""
    speakers = len(profiles)
    alike = cosine_similarity(*np.split(scale(np.concatenate(profiles.swapaxes(0, 1))), 2))
    same = np.eye(speakers).ravel()
    accepted, found, _ = roc_curve(same, alike.ravel(), drop_intermediate=False)
    at = int(np.argmin(np.abs(accepted - (1 - found))))
    best = float((alike.argmax(axis=1) == np.arange(speakers)).mean())
    return {"eer": float(accepted[at] + 1 - found[at]) / 2, "identified": best}
