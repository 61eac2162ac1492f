"""Compare two recipes on the same clips by a paired permutation test over speakers.

Source: Efron & Tibshirani, "An Introduction to the Bootstrap", chapter 15; Phipson & Smyth,
"Permutation p-values should never be zero" (2010).
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from affekt.errors import LabelError
from affekt.evaluation.intervals import (
    RESAMPLES,
    SEED,
    Interval,
    drawn_recalls,
    percentiles,
    shown,
    speaker_uars,
)
from affekt.evaluation.metrics import Tally

EXACT_SPEAKERS = 13  # up to this number, all 2**speakers sign flips are fewer than RESAMPLES


@dataclass(frozen=True)
class Comparison:
    """Difference in UAR between two recipes on the same clips."""

    difference: Interval  #: UAR of the first minus that of the second, with its 95 % interval
    #: the same as printed: with fewer than 8 speakers, with the range over speakers
    shown: Interval
    #: two-sided p value in (0, 1] of a permutation test that exchanges both recipes' answers
    #: speaker by speaker
    p: float


def compare(first: Tally, second: Tally) -> Comparison:
    """Compare two recipes on the same clips, paired by speaker; their seeds may differ.

    If both recipes were equally good, exchanging their answers for any speaker would only add
    noise: ``p`` is the share of such exchanges with at least the measured difference, over all
    exchanges for few speakers, else over 10,000 random ones.

    Raises:
        LabelError: the recipes did not answer the same clips, or a label has none.
    """
    _check_same_clips(first, second)
    drawn = (drawn_recalls(first) - drawn_recalls(second)).mean(axis=1)  # the same resamples
    shares = _shares(first) - _shares(second)
    difference, by_speaker = float(shares.sum()), speaker_uars(first) - speaker_uars(second)
    interval = percentiles(difference, drawn, speakers=len(by_speaker))
    return Comparison(interval, shown(difference, drawn, by_speaker), _flip_p(shares))


def _shares(tally: Tally) -> NDArray[np.float64]:
    """``(speakers,)``: each speaker's contribution to the UAR, averaged over seeds."""
    hits = np.diagonal(tally.counts, axis1=-2, axis2=-1)
    support = tally.counts.sum(axis=(1, 3))[:, np.newaxis]
    return np.asarray((hits / support).mean(axis=(0, 2)))


def _flip_p(shares: NDArray[np.float64]) -> float:
    rounding = 1e-9
    exact = len(shares) <= EXACT_SPEAKERS
    flipped = np.abs(_signs(len(shares), exact) @ shares)
    as_large = flipped >= abs(shares.sum()) - rounding
    return float(as_large.mean() if exact else (as_large.sum() + 1) / (len(flipped) + 1))


@lru_cache(maxsize=64)
def _signs(speakers: int, exact: bool) -> NDArray[np.float64]:
    """``(flips, speakers)`` of -1 and 1: all of them, or random ones."""
    if exact:
        return np.array(list(product((-1.0, 1.0), repeat=speakers)))
    return np.random.default_rng(SEED).choice((-1.0, 1.0), size=(RESAMPLES, speakers))


def _check_same_clips(first: Tally, second: Tally) -> None:
    same = first.labels == second.labels and first.speakers == second.speakers
    if same:
        clips = first.counts[0].sum(axis=-1)
        same = all((each.counts.sum(axis=-1) == clips).all() for each in (first, second))
    if not same or not clips.sum(axis=0).all():
        raise LabelError(
            "recipes to compare must have predictions for the same clips, speakers and labels, and "
            "a clip of each label. Got different ones. Run both over all folds of one corpus."
        )
