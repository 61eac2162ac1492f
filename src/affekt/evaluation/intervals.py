"""Compute confidence intervals of scores by resampling speakers.

Clips of one speaker are correlated, so a resample draws whole speakers with replacement, with all
their clips and all seeds. Intervals are percentiles of the resampled scores: they stay inside
[0, 1], need no variance formula, and hold for any score. With few speakers the plain percentile
interval is too narrow, so its tails are expanded by the ratio of Student's t to the normal
distribution. An interval covers the choice of speakers within a corpus, not the choice of seeds.

With fewer than 8 speakers no interval is shown to readers: tables and figures print the lowest
and the highest speaker instead.

Source: Field & Welsh, "Bootstrapping clustered data" (2007); Efron & Tibshirani, "An
Introduction to the Bootstrap", chapter 13; Hesterberg, "What teachers should know about the
bootstrap" (2015), expanded percentiles.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from affekt.evaluation.metrics import Tally, recalls_of

RESAMPLES = 10_000
SEED = 0
LEVEL = 0.95
LEAST_WHOLE = 0.01  # share of the draws that must have all labels
FEW_SPEAKERS = 8  # below this number, the range over speakers is shown in place of an interval
INTERVAL, RANGE = "95 % interval", "range over speakers"


@dataclass(frozen=True)
class Interval:
    """A score with its 95 % interval, or with its lowest and highest speaker."""

    value: float  #: the score over all speakers; NaN if a label has no clip
    low: float = np.nan  #: lower end; NaN if there is none
    high: float = np.nan  #: upper end; NaN if there is none
    kind: str = INTERVAL  #: what the ends are, ``INTERVAL`` or ``RANGE``

    def __str__(self) -> str:
        """The score with its ends, in words.

        >>> [str(score) for score in (Interval(0.5, 0.25, 0.75), Interval(np.nan))]
        ['0.500 (95 % interval 0.250 to 0.750)', 'none, since a label has no clip']
        """
        if np.isnan(self.value):
            return "none, since a label has no clip"
        ends = "" if np.isnan(self.low) else f" ({self.kind} {self.low:.3f} to {self.high:.3f})"
        return f"{self.value:.3f}{ends}"

    def columns(self, score: str = "uar", ends: str = "") -> dict[str, float]:
        """Cells of a table: ``<score>``, ``<ends>low``, ``<ends>high``."""
        return {score: self.value, f"{ends}low": self.low, f"{ends}high": self.high}


def shown_uar(tally: Tally) -> Interval:
    """Compute UAR, averaged over seeds, with the ends of :func:`shown`; NaN without a label."""
    drawn = drawn_recalls(tally).mean(axis=1)
    return shown(float(_pooled(tally).mean()), drawn, speaker_uars(tally))


def shown_mean_uar(tallies: Sequence[Tally]) -> Interval:
    """Compute the mean of the UARs on several corpora with its 95 % interval.

    Every corpus has the same weight, and its speakers are drawn separately. A corpus of one
    speaker, or fewer than 8 speakers in all, leave no interval (NaN).
    """
    value = float(np.mean([_pooled(tally).mean() for tally in tallies]))
    by_corpus = [
        drawn_recalls(tally, SEED + number).mean(axis=1) for number, tally in enumerate(tallies)
    ]
    speakers = [len(tally.speakers) for tally in tallies]
    if sum(speakers) < FEW_SPEAKERS or not all(map(len, by_corpus)):
        return Interval(value)
    tail = _tail(speakers, [float(drawn.var()) for drawn in by_corpus])
    return _middle(value, np.mean(by_corpus, axis=0), tail)


def shown_recalls(tally: Tally) -> dict[str, Interval]:
    """Compute the class accuracy of each label, averaged over seeds, as :func:`shown_uar` does."""
    columns = drawn_recalls(tally).T, recalls_of(tally.counts.sum(axis=0)).T
    values = map(float, _pooled(tally))
    return dict(zip(tally.labels, map(shown, values, *columns), strict=True))


def shown(value: float, drawn: NDArray[np.float64], by_speaker: NDArray[np.float64]) -> Interval:
    """The 95 % interval of a score, or its range over speakers if fewer than 8 have one.

    There is no range (NaN) of one speaker or without the score.
    """
    given = by_speaker[np.isfinite(by_speaker)]  # NaN: no clip of the label
    if len(given) >= FEW_SPEAKERS:
        return percentiles(value, drawn, speakers=len(given))
    if len(given) < 2 or np.isnan(value):
        return Interval(value, kind=RANGE)
    return Interval(value, float(given.min()), float(given.max()), RANGE)


def speaker_uars(tally: Tally) -> NDArray[np.float64]:
    """Compute ``(speakers,)`` UARs, each over the labels that the speaker has clips of."""
    return np.asarray(np.nanmean(recalls_of(tally.counts.sum(axis=0)), axis=1))


def speaker_draws(tally: Tally, seed: int = SEED) -> NDArray[np.float64]:
    """Draw speakers with replacement; a draw that leaves a label without a clip is drawn again.

    Returns:
        ``(RESAMPLES, speakers)``: how often each speaker is drawn, read-only; no rows for one
        speaker, if a label has no clip at all, or if so few speakers have some labels that less
        than 1 % of the draws have all.
    """
    speakers = len(tally.speakers)
    given = np.asarray(tally.counts.sum(axis=-1)) > 0  # (seeds, speakers, labels)
    if speakers < 2 or not given.any(axis=1).all():
        return np.ones((0, speakers))
    columns = given.transpose(0, 2, 1).reshape(-1, speakers)
    rare = frozenset(column.tobytes() for column in columns if not column.all())
    return _draws(speakers, rare, RESAMPLES, seed)


@lru_cache(maxsize=64)
def _draws(speakers: int, rare: frozenset[bytes], resamples: int, seed: int) -> NDArray[np.float64]:
    """Draws that hold a speaker of each ``rare`` label, given as the speakers who have it."""
    needed = np.frombuffer(b"".join(sorted(rare)), bool).reshape(-1, speakers)
    generator = np.random.default_rng(seed)
    accepted = np.ones((0, speakers))  # as float64, which matrix products are fast with
    while len(accepted) < resamples:
        draws = generator.multinomial(speakers, np.full(speakers, 1 / speakers), resamples)
        whole = (draws @ needed.T.astype(np.int64) > 0).all(axis=1)
        if whole.mean() < LEAST_WHOLE:
            return accepted[:0]
        accepted = np.concatenate([accepted, draws[whole]])[:resamples]
    accepted.flags.writeable = False
    return accepted


def drawn_sums(
    draws: NDArray[np.float64], sums: NDArray[np.int64] | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sum ``(seeds, speakers, columns)`` over each draw's speakers: ``(draws, seeds, columns)``."""
    seeds, speakers, columns = sums.shape
    flat = sums.transpose(1, 0, 2).reshape(speakers, -1).astype(np.float64)
    return np.asarray(draws @ flat).reshape(-1, seeds, columns)


def percentiles(value: float, drawn: NDArray[np.float64], *, speakers: int) -> Interval:
    """Compute the 95 % interval of a score from its resamples.

    Args:
        drawn: ``(resamples,)`` the score of each resample; no interval (NaN) without any.
        speakers: number of speakers; the fewer, the wider the percentiles are taken.

    >>> found = percentiles(0.5, np.linspace(0, 1, 1001), speakers=1000)
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (0.5, 0.025, 0.975)
    >>> round(percentiles(0.5, np.linspace(0, 1, 1001), speakers=6).low, 3)
    0.002
    """
    if not len(drawn):
        return Interval(value)
    return _middle(value, drawn, _tail([speakers], [1.0]))


def _tail(speakers: Sequence[int], variances: Sequence[float]) -> float:
    """Share of the resamples to leave out at either end.

    For one group of speakers, or for the mean of several groups whose resamples have these
    variances. A resample of n speakers varies by (n - 1) / n of what n speakers do; the degrees
    of freedom are Satterthwaite's.
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


@lru_cache(maxsize=64)
def drawn_recalls(tally: Tally, seed: int = SEED) -> NDArray[np.float64]:
    """``(resamples, labels)``: recalls of each of :func:`speaker_draws`, averaged over seeds."""
    draws = speaker_draws(tally, seed)
    hits = drawn_sums(draws, np.diagonal(tally.counts, axis1=-2, axis2=-1))
    return np.asarray((hits / drawn_sums(draws, tally.counts.sum(axis=-1))).mean(axis=1))
