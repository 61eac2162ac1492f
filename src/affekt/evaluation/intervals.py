"""Counts by speaker to intervals and comparisons; the speaker is the unit of chance.

Clips of one voice are alike, so a resample draws whole speakers, with all their clips and all
seeds together. Intervals are percentiles of the resampled scores: they stay inside [0, 1], need
no variance formula, and mean the same for every score. Of few speakers the plain percentiles lie
too close together (of four, some four intervals in five hold the truth in place of 19 in 20), so
they are taken further out, by what Student's t is wider than the normal. They speak about other
speakers of the same corpus, not about other seeds: those are reported one by one.

Source: Field & Welsh, "Bootstrapping clustered data" (2007); Efron & Tibshirani, "An
Introduction to the Bootstrap", chapters 13 and 15; Hesterberg, "What teachers should know about
the bootstrap" (2015), expanded percentiles; Phipson & Smyth, "Permutation p-values should never
be zero" (2010).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from affekt.errors import LabelError
from affekt.evaluation.metrics import recalls_of
from affekt.evaluation.tally import Tally

RESAMPLES = 10_000
SEED = 0
LEVEL = 0.95
EXACT_SPEAKERS = 13  # up to so many, all 2**speakers sign flips are fewer than RESAMPLES


@dataclass(frozen=True)
class Interval:
    """A score with its 95 % interval over speakers; NaN where unknown."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Difference in UAR of two recipes on the same clips, and how likely chance makes it.

    Attributes:
        difference: UAR of the first less that of the second, with its interval.
        p: share of the by-speaker exchanges of both recipes that differ at least as much.
    """

    difference: Interval
    p: float


def uar_interval(tally: Tally, *, resamples: int = RESAMPLES, seed: int = SEED) -> Interval:
    """UAR, averaged over seeds, with its 95 % interval over speakers.

    Args:
        tally: counts of one recipe.
        resamples: how many times to draw the speakers anew.
        seed: of the drawing.

    Returns:
        UAR in [0, 1] and its interval; NaN for a label without clips, no interval (NaN) for one
        speaker.
    """
    drawn = _recalls(tally, speaker_draws(tally, resamples, seed)).mean(axis=1)
    return percentiles(float(_pooled(tally).mean()), drawn, speakers=len(tally.speakers))


def mean_uar_interval(
    tallies: Sequence[Tally], *, resamples: int = RESAMPLES, seed: int = SEED
) -> Interval:
    """Mean of the UARs on several corpora, each weighing the same, with its 95 % interval.

    Args:
        tallies: counts of one recipe on each corpus; the speakers of each are drawn apart.
        resamples: how many times to draw the speakers anew.
        seed: of the drawing.

    Returns:
        Mean UAR in [0, 1] and its interval, as in :func:`uar_interval`.
    """
    value = float(np.mean([_pooled(tally).mean() for tally in tallies]))
    by_corpus = [
        _recalls(tally, speaker_draws(tally, resamples, seed + number)).mean(axis=1)
        for number, tally in enumerate(tallies)
    ]
    shortest = min(map(len, by_corpus))  # none for a corpus of one speaker
    if not shortest:
        return Interval(value, np.nan, np.nan)
    variances = [float(drawn.var()) for drawn in by_corpus]
    tail = _tail([len(tally.speakers) for tally in tallies], variances)
    return _middle(value, np.mean([drawn[:shortest] for drawn in by_corpus], axis=0), tail)


def recall_intervals(
    tally: Tally, *, resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, Interval]:
    """Class accuracies, averaged over seeds, each with its 95 % interval over speakers.

    Args:
        tally: counts of one recipe.
        resamples: how many times to draw the speakers anew.
        seed: of the drawing.

    Returns:
        For each label its recall in [0, 1] and interval, as in :func:`uar_interval`.
    """
    drawn = _recalls(tally, speaker_draws(tally, resamples, seed))
    return {
        label: percentiles(float(value), drawn[:, column], speakers=len(tally.speakers))
        for column, (label, value) in enumerate(zip(tally.labels, _pooled(tally), strict=True))
    }


def compare(
    first: Tally, second: Tally, *, resamples: int = RESAMPLES, seed: int = SEED
) -> Comparison:
    """Compare two recipes on the same clips, speaker by speaker.

    If both were equally good, exchanging their answers for any speaker would change nothing but
    luck: ``p`` is the share of such exchanges whose difference is at least as large, over all of
    them for few speakers, else over ``resamples`` drawn at random.

    Args:
        first: counts of the one recipe.
        second: counts of the other; its seeds may be others.
        resamples: how many resamples, and exchanges, to draw.
        seed: of the drawing.

    Returns:
        The difference in UAR with its interval, and the two-sided p value in (0, 1].

    Raises:
        LabelError: the recipes did not answer the same clips, or a label has none.
    """
    _check_same_clips(first, second)
    draws = speaker_draws(first, resamples, seed)
    drawn = (_recalls(first, draws) - _recalls(second, draws)).mean(axis=1)
    shares = _shares(first) - _shares(second)
    difference = float(shares.sum())
    interval = percentiles(difference, drawn, speakers=len(first.speakers))
    return Comparison(interval, _flip_p(shares, resamples, seed))


def speaker_draws(tally: Tally, resamples: int, seed: int) -> NDArray[np.int64]:
    """Draw speakers with replacement; a draw that leaves a label without a clip is drawn again.

    Args:
        tally: whose speakers.
        resamples: how many draws.
        seed: of the drawing; the same speakers and seed give the same draws.

    Returns:
        ``(resamples, speakers)``: how often each speaker is drawn; no rows for one speaker, or
        where a label has no clip at all.
    """
    speakers = len(tally.speakers)
    support = tally.counts.sum(axis=-1)
    if speakers < 2 or not support.sum(axis=1).all():
        return np.ones((0, speakers), np.int64)
    generator = np.random.default_rng(seed)
    kept = np.ones((0, speakers), np.int64)
    while len(kept) < resamples:
        draws = generator.multinomial(speakers, np.full(speakers, 1 / speakers), resamples)
        whole = np.einsum("rs,ksl->rkl", draws, support).all(axis=(1, 2))
        kept = np.concatenate([kept, draws[whole]])[:resamples]
    return kept


def percentiles(value: float, drawn: NDArray[np.float64], *, speakers: int) -> Interval:
    """A score with its 95 % interval.

    Args:
        value: the score.
        drawn: ``(resamples,)`` the score of each resample of the speakers.
        speakers: how many were drawn; the fewer, the further out the percentiles.

    Returns:
        The score between two percentiles of its resamples; an open interval (NaN) if there are
        none.

    >>> found = percentiles(0.5, np.linspace(0, 1, 1001), speakers=1000)
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (0.5, 0.025, 0.975)
    >>> round(percentiles(0.5, np.linspace(0, 1, 1001), speakers=6).low, 3)
    0.002
    """
    if not len(drawn):
        return Interval(value, np.nan, np.nan)
    return _middle(value, drawn, _tail([speakers], [1.0]))


def _tail(speakers: Sequence[int], variances: Sequence[float]) -> float:
    """Share of the resamples to leave out on either side.

    Of one group of speakers, or of the mean of several with these variances of their resamples:
    a resample of n varies by (n - 1) / n of what n speakers do, and the degrees of freedom are
    Satterthwaite's.
    """
    n, found = np.asarray(speakers), np.asarray(variances)
    if not found.any():
        return (1 - LEVEL) / 2
    unbiased = found * n / (n - 1)
    freedom = unbiased.sum() ** 2 / (unbiased**2 / (n - 1)).sum()
    wider = np.sqrt(unbiased.sum() / found.sum())
    return float(ndtr(stdtrit(freedom, (1 - LEVEL) / 2) * wider))


def _middle(value: float, drawn: NDArray[np.float64], tail: float) -> Interval:
    low, high = np.percentile(drawn, [100 * tail, 100 * (1 - tail)])
    return Interval(value, float(low), float(high))


def _pooled(tally: Tally) -> NDArray[np.float64]:
    return np.asarray(recalls_of(tally.counts.sum(axis=1)).mean(axis=0))


def _recalls(tally: Tally, draws: NDArray[np.int64]) -> NDArray[np.float64]:
    """``(resamples, labels)``: recalls of each draw of speakers, averaged over seeds."""
    counts = np.einsum("rs,kslm->rklm", draws, tally.counts)
    return np.asarray(recalls_of(counts).mean(axis=1))


def _shares(tally: Tally) -> NDArray[np.float64]:
    """``(speakers,)``: what each speaker adds to the UAR, averaged over seeds."""
    hits = np.diagonal(tally.counts, axis1=-2, axis2=-1)
    support = tally.counts.sum(axis=(1, 3))[:, np.newaxis]
    return np.asarray((hits / support).mean(axis=(0, 2)))


def _flip_p(shares: NDArray[np.float64], resamples: int, seed: int) -> float:
    rounding = 1e-9
    least = abs(shares.sum()) - rounding
    if len(shares) <= EXACT_SPEAKERS:
        signs = np.array(list(product((-1, 1), repeat=len(shares))))
        return float((np.abs(signs @ shares) >= least).mean())
    signs = np.random.default_rng(seed).choice((-1, 1), size=(resamples, len(shares)))
    return float(((np.abs(signs @ shares) >= least).sum() + 1) / (resamples + 1))


def _check_same_clips(first: Tally, second: Tally) -> None:
    same = first.labels == second.labels and first.speakers == second.speakers
    if same:
        clips = first.counts[0].sum(axis=-1)
        same = all((each.counts.sum(axis=-1) == clips).all() for each in (first, second))
    if not same:
        raise LabelError(
            "recipes to compare must have answered the same clips of the same speakers with the "
            "same labels. Got different ones. Run both over all folds of one corpus."
        )
    if not clips.sum(axis=0).all():
        raise LabelError(
            "recipes to compare must have answered a clip of each label. Got none of some. "
            "Run both over all folds."
        )
