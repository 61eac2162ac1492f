"""Estimate the measures of a period, their change from the baseline, and 95 % intervals.

All statistics compare days, since recordings of one day may have a mood in common. Intervals come
from a Bayesian bootstrap over days. For shares of emotions, each resample draws the confusion
matrix of a random speaker, and adds half a day of each emotion (the prior of Jeffreys): a person
may show emotions that no recording has. Other intervals are widened by Student's t for the
effective number of days, since days with more speech weigh more. Whether predictions have changed
is decided by a permutation test, which needs no confusion matrix: without a change, the model's
errors are the same in both periods.

Source: Rubin, "The Bayesian Bootstrap" (1981).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from affekt.journal.confusion import Confusion, Floats
from affekt.journal.entry import Entry

RESAMPLES = 2_000
PERMUTATIONS = 9_999
CHUNK = 1 << 20  # numbers computed at a time
FEWEST = 5  # days for an interval
PRIOR = 0.5  # days of each emotion that an interval adds
CONTRASTS = {
    "contrast of happy and neutral with angry and sad": ("happy", "neutral", "angry", "sad"),
    "contrast of angry and happy with sad and neutral": ("angry", "happy", "sad", "neutral"),
}
RANGE = "expressive range"
SPEECH = "speech a day"


@dataclass(frozen=True)
class Estimate:
    """One measure of a period."""

    value: float  #: of the measure; NaN for the expressive range of a single day
    low: float  #: of its 95 % interval; NaN with fewer than five days
    high: float  #: of the interval
    change: float = np.nan  #: from the baseline; NaN within the baseline
    change_low: float = np.nan  #: of its 95 % interval
    change_high: float = np.nan  #: of the interval
    p: float = np.nan  #: of the permutation test for a change; NaN if none was made


@dataclass(frozen=True, eq=False)
class Sample:
    """Predictions of some days with recordings, as arrays."""

    labels: tuple[str, ...]  #: of the columns
    shares: Floats  #: ``(days, labels)`` mean probabilities, weighted by speech
    seconds: Floats  #: ``(days,)`` of speech, above 0
    utterances: Floats  #: ``(utterances, labels)`` probabilities
    lengths: Floats  #: ``(utterances,)`` seconds of speech
    owners: NDArray[np.int64]  #: ``(utterances,)`` number of the day

    @classmethod
    def of(cls, entries: Sequence[Entry], labels: tuple[str, ...]) -> "Sample":
        """Collect the predictions of entries with speech, at least one."""
        numbers = {day: n for n, day in enumerate(dict.fromkeys(e.day for e in entries))}
        of_day = np.array([numbers[entry.day] for entry in entries])
        parts = [(each, numbers[entry.day]) for entry in entries for each in entry.utterances]
        speech = np.array([entry.speech for entry in entries])
        shares = np.array([[entry.probabilities[label] for label in labels] for entry in entries])
        seconds = np.bincount(of_day, speech).astype(np.float64)
        weighted = [np.bincount(of_day, speech * column) / seconds for column in shares.T]
        return cls(
            labels,
            np.stack(weighted, axis=1),
            seconds,
            np.array([[part["probabilities"][label] for label in labels] for part, _ in parts]),
            np.array([part["speech"] for part, _ in parts]),
            np.array([number for _, number in parts]),
        )

    def means(self, counts: Floats) -> Floats:
        """Mean probabilities ``(rows, labels)``, weighted by speech and ``(rows, days)`` counts."""
        weights = counts * self.seconds
        return np.asarray(weights @ self.shares / weights.sum(axis=1, keepdims=True))

    def resample(self, rng: np.random.Generator) -> Floats:
        """Draw how much each day counts in each resample: ``(RESAMPLES, days)``.

        The shape of the gamma distribution gives means of five days or more the variance s²/n.
        """
        number = len(self.seconds)
        return rng.standard_gamma(max(1 - 2 / number, 0.5), (RESAMPLES, number))


def measures(sample: Sample, counts: Floats, shares: Floats) -> dict[str, Floats]:
    """Compute every measure, ``(rows,)``, for some weightings of the days.

    Measures are the share of each label, the contrasts of the uncorrected probabilities if the
    labels allow them, the expressive range, and the speech a day in seconds.

    Args:
        counts: ``(rows, days)``: how often each one counts.
        shares: ``(rows, labels)``: the corrected shares.
    """
    found = {label: shares[:, column] for column, label in enumerate(sample.labels)}
    means = sample.means(counts)
    for name, terms in CONTRASTS.items():
        if set(terms) <= set(sample.labels):
            first, second, third, fourth = (means[:, sample.labels.index(term)] for term in terms)
            found[name] = first + second - third - fourth
    found[RANGE] = _expressive_range(sample, counts)
    found[SPEECH] = counts @ sample.seconds / counts.sum(axis=1)
    return found


def _expressive_range(sample: Sample, counts: Floats) -> Floats:
    """Mean distance of utterances of two days: half the sum of absolute differences.

    Pairs within a day are left out, so that the expected value does not depend on the number of
    days.
    """
    found, rows = np.full(len(counts), np.nan), max(1, CHUNK // len(sample.owners))
    number = len(sample.seconds)
    inside = [sample.owners == n for n in range(number)]
    own = np.array([_distances(sample.utterances[i], sample.lengths[None, i])[0] for i in inside])
    seconds = np.bincount(sample.owners, sample.lengths, number)
    for first in range(0, len(counts) if number > 1 else 0, rows):
        part = counts[first : first + rows]
        apart = _distances(sample.utterances, part[:, sample.owners] * sample.lengths)
        pairs = (part @ seconds) ** 2 - part**2 @ seconds**2
        found[first : first + rows] = (apart - part**2 @ own) / pairs
    return found


def _distances(points: Floats, weights: Floats) -> Floats:
    """Sum over pairs of weights and distance, for each row of weights."""
    total = np.zeros(len(weights))
    for column in points.T:
        order = np.argsort(column)
        below = np.cumsum(weights[:, order], axis=1)
        total += (below * (below[:, -1:] - below))[:, :-1] @ np.diff(column[order])
    return total


def estimate(
    sample: Sample, confusion: Confusion, rng: np.random.Generator, baseline: Sample | None = None
) -> Mapping[str, Estimate]:
    """Estimate every measure of a period, and its change from the baseline if that is given."""
    drawn = rng.integers(len(confusion.matrices), size=RESAMPLES)
    value, spread = _estimated(sample, confusion, rng, drawn)
    ends = {name: _ends(name, value[name], spread[name], sample) for name in value}
    if baseline is None:
        return {name: Estimate(value[name], *ends[name]) for name in value}
    before, before_spread = _estimated(baseline, confusion, rng, drawn)
    chances = permutation_test(baseline, sample, rng)
    found = {}
    for name in value:
        change = value[name] - before[name]
        interval = _ends(name, change, spread[name] - before_spread[name], sample, baseline)
        p = chances.get(name, np.nan)
        found[name] = Estimate(value[name], *ends[name], change, *interval, p)
    return found


def permutation_test(first: Sample, second: Sample, rng: np.random.Generator) -> dict[str, float]:
    """Compute two-sided p-values of differences in mean probabilities, by exchanging days.

    A difference is divided by its standard deviation in each order, since days with little speech
    vary more: one period may have less speech a day than the other one.
    """
    shares = np.concatenate([first.shares, second.shares])
    seconds = np.concatenate([first.seconds, second.seconds])
    cut, number = len(first.seconds), len(seconds)
    squares = seconds**2 * day_variances(shares, seconds)

    def differences(order: NDArray[np.int64]) -> Floats:
        weights, values = seconds[order], (seconds[:, None] * shares)[order]
        one, other = weights[:, :cut].sum(axis=1), weights[:, cut:].sum(axis=1)
        found = values[:, :cut].sum(axis=1) / one[:, None]
        found -= values[:, cut:].sum(axis=1) / other[:, None]
        variance = squares[order[:, :cut]].sum(axis=1) / one**2
        variance += squares[order[:, cut:]].sum(axis=1) / other**2
        return np.asarray(np.abs(found) / np.sqrt(variance)[:, None])

    found = differences(np.arange(number)[None])
    extreme, rows = np.ones(len(first.labels)), max(1, CHUNK // number)
    for done in range(0, PERMUTATIONS, rows):
        shape = min(rows, PERMUTATIONS - done), number
        order = rng.permuted(np.broadcast_to(np.arange(number), shape), axis=1)
        extreme += (differences(order) >= found - 1e-12).sum(axis=0)
    return dict(zip(first.labels, (extreme / (PERMUTATIONS + 1)).tolist(), strict=True))


def day_variances(shares: Floats, seconds: Floats) -> Floats:
    """Fit the variance of each day's shares, ``(days,)``, as a multiple of the mean variance.

    One part is the same for all days, such as that of moods of a day. The other one falls with the
    seconds of speech.
    """
    from scipy.optimize import nnls

    errors = ((shares - np.average(shares, axis=0, weights=seconds)) ** 2).sum(axis=1)
    terms = np.stack([np.ones_like(seconds), seconds.mean() / seconds], axis=1)
    fitted = terms @ nnls(terms, errors)[0]
    return np.asarray(fitted / fitted.mean() if fitted.any() else np.ones_like(fitted))


def evenness(seconds: Floats, variances: Floats) -> float:
    """Effective number of days, by their number: days weigh unequally, and vary unequally."""
    return float(seconds.sum() ** 2 / (len(seconds) * (seconds**2 * variances).sum()))


def _estimated(
    sample: Sample, confusion: Confusion, rng: np.random.Generator, drawn: NDArray[np.int64]
) -> tuple[dict[str, float], dict[str, Floats]]:
    """The value of each measure, and its values in each resample."""
    once = np.ones((1, len(sample.seconds)))
    value = measures(sample, once, confusion.correct(sample.means(once)))
    counts = sample.resample(rng)
    prior = rng.standard_gamma(PRIOR, (RESAMPLES, len(sample.labels)))
    shares = confusion.correct(sample.means(counts), drawn, prior / counts.sum(1, keepdims=True))
    spread = measures(sample, counts, shares)
    return {name: float(each[0]) for name, each in value.items()}, spread


def _ends(name: str, value: float, spread: Floats, *samples: Sample) -> tuple[float, float]:
    """Ends of a 95 % interval, NaN with too few days in one of the samples."""
    if min(len(each.seconds) for each in samples) < FEWEST or np.isnan(value):
        return np.nan, np.nan
    low, high = np.percentile(spread - value, (2.5, 97.5))
    if name not in samples[0].labels:
        from scipy.stats import norm, t

        days = [np.ones_like(each.seconds) if name == SPEECH else each.seconds for each in samples]
        fewest = min(len(each) * evenness(each, np.ones_like(each)) for each in days)
        factor = t.ppf(0.975, max(fewest - 1, 1)) / norm.ppf(0.975)
        low, high = low * factor, high * factor
    return value + min(float(low), 0.0), value + max(float(high), 0.0)
