"""Count the clips of each seed and speaker, and compute recalls and F1 from the counts.

All scores are computed from confusion matrices, which can be pooled over folds and resampled over
speakers by adding them. scikit-learn computes the same values from truth and predictions; the tests
compare both.

Source: Sharan, Mascolo & Schuller, section III: class accuracy is the recall of a class over all
folds pooled, average accuracy the mean of the class accuracies (unweighted average recall, UAR).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from affekt.runs.predictions import labels_of


@dataclass(frozen=True, eq=False)
class Tally:
    """Confusion matrices of one recipe, one for each seed and speaker."""

    labels: tuple[str, ...]  #: ``(labels,)`` in the order of rows and columns
    seeds: tuple[int, ...]  #: the seeds in the order of the first axis
    speakers: tuple[str, ...]  #: the speakers in the order of the second axis
    counts: NDArray[np.int64]  #: ``(seeds, speakers, labels, labels)``; a row is a true label


def tally(table: pd.DataFrame, labels: tuple[str, ...] = ()) -> Tally:
    """Count the truths and predictions of one recipe, all seeds and folds.

    The labels are by default those of the table's columns of probabilities.
    """
    names = pd.Index(labels := labels or labels_of(table))
    seed, seeds = pd.factorize(table["seed"], sort=True)
    speaker, speakers = pd.factorize(table["speaker"], sort=True)
    truth, predicted = (
        names.get_indexer(pd.Index(table[column])) for column in ("truth", "predicted")
    )
    shape = len(seeds), len(speakers), len(labels), len(labels)
    cells = np.ravel_multi_index((seed, speaker, truth, predicted), shape)
    counts = np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape)
    return Tally(labels, tuple(map(int, seeds)), tuple(speakers), counts)


def recalls_of(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the recalls of one or many ``(..., labels, labels)`` confusion matrices.

    Returns:
        ``(..., labels)`` recalls in [0, 1]; NaN for a label without a clip.

    >>> recalls_of(np.array([[1, 1], [0, 0]])).tolist()
    [0.5, nan]
    """
    with np.errstate(invalid="ignore"):
        return np.asarray(np.diagonal(counts, axis1=-2, axis2=-1) / counts.sum(axis=-1))


def f1_of(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute F1 of each label, as :func:`recalls_of` computes recalls.

    >>> f1_of(np.array([[1, 1], [0, 0]])).round(3).tolist()
    [0.667, nan]
    """
    support, hits = counts.sum(axis=-1), np.diagonal(counts, axis1=-2, axis2=-1)
    with np.errstate(invalid="ignore"):
        return np.where(support > 0, 2 * hits / (support + counts.sum(axis=-2)), np.nan)
