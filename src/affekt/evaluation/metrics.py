"""Compute recalls and F1 from confusion matrices.

Confusion matrices can be pooled over folds and resampled over speakers by adding them. scikit-learn
computes the same values from truth and predictions; the tests compare both.

Source: Sharan, Mascolo & Schuller, section III: class accuracy is the recall of a class over all
folds pooled, average accuracy the mean of the class accuracies (unweighted average recall, UAR).
"""

import numpy as np
from numpy.typing import NDArray


def recalls_of(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the recalls of one or many ``(..., labels, labels)`` confusion matrices.

    Returns:
        ``(..., labels)`` recalls in [0, 1]; NaN for a label without a clip.

    >>> recalls_of(np.array([[1, 1], [0, 0]])).tolist()
    [0.5, nan]
    """
    support = counts.sum(axis=-1)
    return _shares(np.diagonal(counts, axis1=-2, axis2=-1), support, support)


def f1_of(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute F1 of each label, as :func:`recalls_of` computes recalls.

    >>> f1_of(np.array([[1, 1], [0, 0]])).round(3).tolist()
    [0.667, nan]
    """
    support = counts.sum(axis=-1)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    return _shares(2 * hits, support + counts.sum(axis=-2), support)


def _shares(
    part: NDArray[np.int64], whole: NDArray[np.int64], support: NDArray[np.int64]
) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = np.full(support.shape, np.nan)
    np.divide(part, whole, out=shares, where=support > 0)
    return shares
