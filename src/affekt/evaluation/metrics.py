"""Compute recalls, unweighted average recall (UAR) and F1 from truth and predictions.

All scores are computed from a confusion matrix, so they can be pooled over folds and resampled
over speakers by adding matrices. scikit-learn computes the same values, but silently ignores a
label without clips; here that is an error. The tests compare both.

Source: Sharan, Mascolo & Schuller, section III: class accuracy is the recall of a class over
all folds pooled, average accuracy the mean of the class accuracies (UAR).
"""

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from affekt.errors import LabelError


def confusion(
    truth: Iterable[Hashable], predicted: Iterable[Hashable], *, labels: Sequence[Hashable]
) -> NDArray[np.int64]:
    """Count clips by true and predicted label (confusion matrix).

    Args:
        truth: ``(clips,)`` annotated labels.
        predicted: ``(clips,)`` predicted labels.
        labels: all labels of the task, in the order of rows and columns.

    Returns:
        ``(labels, labels)`` counts: a row is a true label, a column a predicted one.

    Raises:
        LabelError: a label outside ``labels``, a label listed twice, or unequal lengths.

    >>> confusion("aabb", "abbb", labels="ab").tolist()
    [[1, 1], [0, 2]]
    """
    order = {label: position for position, label in enumerate(labels)}
    if not order or len(order) != len(labels):
        raise LabelError(f"labels must be one or more, all different. Got {_names(labels)}.")
    rows, columns = _positions(truth, order, "truth"), _positions(predicted, order, "predicted")
    if rows.size != columns.size:
        raise LabelError(
            f"truth and predicted must be of one length. Got {rows.size} and {columns.size}."
        )
    counts = np.bincount(rows * len(order) + columns, minlength=len(order) ** 2)
    return counts.astype(np.int64).reshape(len(order), len(order))


def unweighted_average_recall(
    truth: Iterable[Hashable], predicted: Iterable[Hashable], *, labels: Sequence[Hashable]
) -> float:
    """Compute UAR in [0, 1]: the mean of the recalls of ``labels``, all labels of the task.

    Raises:
        LabelError: a label outside ``labels``, or one with no clip in ``truth``.

    Source: Schuller et al., "The INTERSPEECH 2009 Emotion Challenge".

    >>> unweighted_average_recall("aabb", "abbb", labels="ab")
    0.75
    """
    counts = confusion(truth, predicted, labels=labels)
    missing = [label for label, clips in zip(labels, counts.sum(axis=1), strict=True) if not clips]
    if missing:
        raise LabelError(
            f"truth must have a clip of each scored label. Got none of {_names(missing)}. "
            f"Score more speakers, or fewer labels."
        )
    return float(recalls_of(counts).mean())


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


def _positions(
    given: Iterable[Hashable], order: dict[Hashable, int], what: str
) -> NDArray[np.int64]:
    positions = []
    for clip, label in enumerate(given, start=1):
        if label not in order:
            raise LabelError(
                f"{what} must have only the labels {_names(order)}. Got {label!r} for clip {clip}."
            )
        positions.append(order[label])
    return np.array(positions, dtype=np.int64)


def _names(labels: Iterable[Hashable]) -> str:
    return ", ".join(map(str, labels)) or "nothing"
