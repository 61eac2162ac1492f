"""Score the predictions above a minimum confidence (selective classification).

Source: El-Yaniv & Wiener, "On the foundations of noise-free selective classification" (2010):
coverage and risk, here with UAR in place of accuracy.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from affekt.evaluation.calibration import answers_of
from affekt.evaluation.intervals import (
    FEW_SPEAKERS,
    LEAST_WHOLE,
    drawn_sums,
    percentiles,
    speaker_draws,
)
from affekt.evaluation.results import Result

MIN_CONFIDENCES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
COVERAGES = tuple(np.arange(20, 0, -1) / 20)  # points of the coverage curve


def thresholds(result: Result, coverages: Sequence[float] = COVERAGES) -> list[float]:
    """Find the minimum confidence, over all seeds, for each share of clips to answer, in (0, 1].

    At least this share of clips lies at or above the confidence.
    """
    shares = 1 - np.asarray(coverages)
    return [*map(float, np.quantile(answers_of(result).confidence, shares, method="lower"))]


def abstention(result: Result, least: Sequence[float]) -> pd.DataFrame:
    """Score the clips whose confidence reaches each threshold of ``least``, in [0, 1].

    UAR is the mean recall over **all** labels among the answered clips. If a label has no
    answered clip in some seed, UAR is undefined (NaN) and ``vanished`` names the label: a mean
    over fewer labels would be another score. Resamples that lose a label are left out of the
    interval.

    Returns:
        A row for each: ``threshold``, ``coverage`` (share of clips answered), ``uar``, ``low``,
        ``high`` (95 % interval; NaN with answered clips of fewer than 8 speakers, or if less than
        1 % of the resamples have all labels), ``accuracy``, all of the answered clips, and
        ``vanished``.
    """
    answers, labels = answers_of(result), np.array(result.tally.labels)
    draws = speaker_draws(result.tally)
    true = np.eye(len(labels))[answers.truth]
    right, confidence = answers.right[:, np.newaxis], answers.confidence[:, np.newaxis]
    rows = []
    for threshold in least:
        support = answers.sums(true * (confidence >= threshold))
        hits = answers.sums(true * (right & (confidence >= threshold)))
        lost = labels[(support.sum(axis=1) == 0).any(axis=0)]
        drawn = _uar(drawn_sums(draws, hits), drawn_sums(draws, support))
        value = float(_uar(hits.sum(axis=1), support.sum(axis=1)))
        drawn, speakers = drawn[np.isfinite(drawn)], int(support.any(axis=(0, 2)).sum())
        few = speakers < FEW_SPEAKERS or len(drawn) < LEAST_WHOLE * len(draws)
        found = percentiles(value, drawn[: 0 if few else None], speakers=speakers)
        given = support.sum(axis=(1, 2))
        with np.errstate(invalid="ignore"):  # no clip is answered
            accuracy = float((hits.sum(axis=(1, 2)) / given).mean())
        coverage = float((given / np.bincount(answers.seed)).mean())
        row = {"threshold": threshold, "coverage": coverage} | found.columns()
        rows.append({**row, "accuracy": accuracy, "vanished": " ".join(lost)})
    return pd.DataFrame(rows)


def _uar(hits: NDArray[np.float64], support: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over seeds and labels, the last two axes; NaN if one has no clip."""
    with np.errstate(invalid="ignore"):
        return np.asarray((hits / support).mean(axis=(-2, -1)))
