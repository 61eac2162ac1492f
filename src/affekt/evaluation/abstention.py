"""Results to what is gained by not answering below some confidence.

Source: El-Yaniv & Wiener, "On the foundations of noise-free selective classification" (2010):
coverage and what is risked at it, here with UAR in place of accuracy.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from affekt.evaluation.calibration import answers_of, drawn_sums
from affekt.evaluation.intervals import RESAMPLES, SEED, percentiles, speaker_draws
from affekt.evaluation.results import Result

MIN_CONFIDENCES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
COVERAGES = tuple(np.arange(20, 0, -1) / 20)  # points of the coverage curve


def thresholds(result: Result, coverages: Sequence[float] = COVERAGES) -> list[float]:
    """The confidences at which a result answers given shares of all clips, ties aside.

    Args:
        result: any recipe; one threshold holds for all seeds.
        coverages: shares in (0, 1].

    Returns:
        For each share a confidence in [0, 1]; at least as many clips lie at or above it.
    """
    confidence = answers_of(result).confidence
    found = np.quantile(confidence, 1 - np.asarray(coverages), method="lower")
    return [float(threshold) for threshold in found]


def abstention(
    result: Result,
    least: Sequence[float],
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> pd.DataFrame:
    """How right the answers are if those of too little confidence are held back.

    UAR is the mean over **all** labels of the recall among the clips answered. Where a label has
    no clip left to answer in some seed, UAR is not known (NaN), and ``vanished`` names the
    label: a mean over fewer labels would be another score and look better than it is.
    Resamples of speakers that lose a label are left out of the interval.

    Args:
        result: any recipe.
        least: least confidences to answer at, in [0, 1].
        resamples: how many times to draw the speakers anew.
        seed: of the drawing.

    Returns:
        A row for each: ``threshold``, ``coverage`` (share of clips answered), ``uar``, ``low``,
        ``high``, ``accuracy``, all of the answered clips, and ``vanished``.
    """
    answers, labels = answers_of(result), np.array(result.tally.labels)
    draws = speaker_draws(result.tally, resamples, seed)
    true = np.eye(len(labels))[answers.truth]
    rows = []
    for threshold in least:
        answered = (answers.confidence >= threshold)[:, np.newaxis]
        support = answers.sums(true * answered)
        hits = answers.sums(true * (answered[:, 0] & answers.right)[:, np.newaxis])
        lost = labels[(support.sum(axis=1) == 0).any(axis=0)]
        drawn = _uar(drawn_sums(draws, hits), drawn_sums(draws, support))
        value = float(_uar(hits.sum(axis=1), support.sum(axis=1)))
        sound = drawn[np.isfinite(drawn)] if not len(lost) else drawn[:0]
        found = percentiles(value, sound, speakers=draws.shape[1])
        given = support.sum(axis=(1, 2))
        asked = np.bincount(answers.seed)
        with np.errstate(invalid="ignore"):  # none answered
            accuracy = float((hits.sum(axis=(1, 2)) / given).mean())
        row = {"threshold": threshold, "coverage": float((given / asked).mean())}
        row |= {"uar": found.value, "low": found.low, "high": found.high, "accuracy": accuracy}
        rows.append({**row, "vanished": " ".join(lost)})
    return pd.DataFrame(rows)


def _uar(hits: NDArray[np.float64], support: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over seeds and labels, the last two axes; NaN if one has no clip."""
    recalls = np.full(hits.shape, np.nan)
    np.divide(hits, support, out=recalls, where=support > 0)
    return np.asarray(recalls.mean(axis=(-2, -1)))
