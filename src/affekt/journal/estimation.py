"""Estimate the measures of a period, their change from the baseline, and 95 % intervals.

Intervals are percentiles of a bootstrap over recordings; for shares of emotions each resample also
draws the confusion matrix of a random speaker. Whether a share has changed at all is decided by a
permutation test, which needs no confusion matrix: without a change, the model's errors are the same
in both periods.
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
FEWEST = 3  # recordings for an interval
CONTRASTS = {
    "contrast of happy and neutral with angry and sad": ("happy", "neutral", "angry", "sad"),
    "contrast of angry and happy with sad and neutral": ("angry", "happy", "sad", "neutral"),
}
RANGE = "expressive range"
SPEECH = "speech in each recording"


@dataclass(frozen=True)
class Estimate:
    """One measure of a period.

    Attributes:
        value: of the measure.
        low: of its 95 % interval; NaN with fewer than three recordings.
        high: of the interval.
        change: from the baseline; NaN within the baseline.
        change_low: of its 95 % interval.
        change_high: of the interval.
        p: of the permutation test for a change; NaN if none was made.
    """

    value: float
    low: float
    high: float
    change: float = np.nan
    change_low: float = np.nan
    change_high: float = np.nan
    p: float = np.nan


@dataclass(frozen=True, eq=False)
class Sample:
    """Answers of some recordings, as arrays.

    Attributes:
        labels: of the columns.
        shares: ``(recordings, labels)`` mean probabilities.
        seconds: ``(recordings,)`` of speech, above 0.
        utterances: ``(utterances, labels)`` probabilities.
        lengths: ``(utterances,)`` seconds of speech.
        owners: ``(utterances,)`` number of the recording.
    """

    labels: tuple[str, ...]
    shares: Floats
    seconds: Floats
    utterances: Floats
    lengths: Floats
    owners: NDArray[np.int64]

    @classmethod
    def of(cls, entries: Sequence[Entry], labels: tuple[str, ...]) -> "Sample":
        """Collect the predictions of entries with speech, at least one."""
        parts = [(each, n) for n, entry in enumerate(entries) for each in entry.utterances]
        return cls(
            labels,
            np.array([[entry.probabilities[label] for label in labels] for entry in entries]),
            np.array([entry.speech for entry in entries]),
            np.array([[part["probabilities"][label] for label in labels] for part, _ in parts]),
            np.array([part["speech"] for part, _ in parts]),
            np.array([number for _, number in parts]),
        )

    def means(self, counts: Floats) -> Floats:
        """Mean probabilities, ``(rows, labels)``, weighted by speech.

        Args:
            counts: ``(rows, recordings)``: how often each recording counts.
        """
        weights = counts * self.seconds
        return np.asarray(weights @ self.shares / weights.sum(axis=1, keepdims=True))

    def resample(self, rng: np.random.Generator) -> Floats:
        """Draw how often each recording counts in each resample: ``(RESAMPLES, recordings)``."""
        number = len(self.seconds)
        return rng.multinomial(number, np.full(number, 1 / number), RESAMPLES).astype(np.float64)


def measures(sample: Sample, counts: Floats, shares: Floats) -> dict[str, Floats]:
    """Compute every measure, ``(rows,)``, for some weightings of the recordings.

    Measures are the share of each label, the contrasts of the uncorrected probabilities if the
    labels allow them, the expressive range, and the speech in seconds.

    Args:
        counts: ``(rows, recordings)``: how often each one counts.
        shares: ``(rows, labels)``: the corrected shares.
    """
    found = {label: shares[:, column] for column, label in enumerate(sample.labels)}
    means = sample.means(counts)
    for name, terms in CONTRASTS.items():
        if set(terms) <= set(sample.labels):
            first, second, third, fourth = (means[:, sample.labels.index(term)] for term in terms)
            found[name] = first + second - third - fourth
    found[RANGE] = _expressive_range(sample, counts, means)
    found[SPEECH] = counts @ sample.seconds / counts.sum(axis=1)
    return found


def _expressive_range(sample: Sample, counts: Floats, means: Floats) -> Floats:
    """Mean distance of utterances from their mean: half the sum of absolute differences."""
    found, rows = np.empty(len(counts)), max(1, CHUNK // len(sample.owners))
    for first in range(0, len(counts), rows):
        part = slice(first, first + rows)
        weights = counts[part, sample.owners] * sample.lengths
        columns = range(len(sample.labels))
        apart = sum(np.abs(sample.utterances[:, n] - means[part, [n]]) for n in columns)
        found[part] = (weights * apart).sum(axis=1) / weights.sum(axis=1) / 2
    return found


def estimate(
    sample: Sample, confusion: Confusion, rng: np.random.Generator, baseline: Sample | None = None
) -> Mapping[str, Estimate]:
    """Estimate every measure of a period, and its change from the baseline if that is given."""
    drawn = rng.integers(len(confusion.matrices), size=RESAMPLES)
    value, spread = _estimated(sample, confusion, rng, drawn)
    enough = len(sample.seconds) >= FEWEST
    if baseline is None:
        return {name: Estimate(value[name], *_ends(spread[name], enough)) for name in value}
    before, before_spread = _estimated(baseline, confusion, rng, drawn)
    chances = permutation_test(baseline, sample, rng)
    enough_both = enough and len(baseline.seconds) >= FEWEST
    return {
        name: Estimate(
            value[name],
            *_ends(spread[name], enough),
            value[name] - before[name],
            *_ends(spread[name] - before_spread[name], enough_both),
            chances.get(name, np.nan),
        )
        for name in value
    }


def permutation_test(first: Sample, second: Sample, rng: np.random.Generator) -> dict[str, float]:
    """Test whether mean probabilities differ between two periods, by exchanging recordings.

    Returns:
        The two-sided p-value for each label.
    """
    shares = np.concatenate([first.shares, second.shares])
    seconds = np.concatenate([first.seconds, second.seconds])
    cut, number = len(first.seconds), len(seconds)

    def differences(order: NDArray[np.int64]) -> Floats:
        weights, values = seconds[order], (seconds[:, None] * shares)[order]
        one = values[:, :cut].sum(axis=1) / weights[:, :cut].sum(axis=1, keepdims=True)
        other = values[:, cut:].sum(axis=1) / weights[:, cut:].sum(axis=1, keepdims=True)
        return np.asarray(np.abs(one - other))

    found = differences(np.arange(number)[None])
    extreme, rows = np.ones(len(first.labels)), max(1, CHUNK // number)
    for done in range(0, PERMUTATIONS, rows):
        shape = min(rows, PERMUTATIONS - done), number
        order = rng.permuted(np.broadcast_to(np.arange(number), shape), axis=1)
        extreme += (differences(order) >= found - 1e-12).sum(axis=0)
    return dict(zip(first.labels, (extreme / (PERMUTATIONS + 1)).tolist(), strict=True))


def _estimated(
    sample: Sample, confusion: Confusion, rng: np.random.Generator, drawn: NDArray[np.int64]
) -> tuple[dict[str, float], dict[str, Floats]]:
    """The value of each measure, and its values in each resample."""
    number = len(sample.seconds)
    once = np.ones((1, number))
    value = measures(sample, once, confusion.correct(sample.means(once)))
    counts = sample.resample(rng)
    if number > 1:  # resamples vary less than samples, by this factor
        counts = np.maximum(1 + (counts - 1) * np.sqrt(number / (number - 1)), 0.0)
    spread = measures(sample, counts, confusion.correct(sample.means(counts), drawn))
    return {name: float(each[0]) for name, each in value.items()}, spread


def _ends(spread: Floats, enough: bool) -> tuple[float, float]:
    low, high = np.percentile(spread, (2.5, 97.5)) if enough else (np.nan, np.nan)
    return float(low), float(high)
