"""Measure the calibration of probabilities, and fit the temperature that improves it.

Log-probabilities serve as logits: they differ from the network's logits by a constant for each
clip, which temperature scaling ignores.

Source: Guo, Pleiss, Sun & Weinberger, "On Calibration of Modern Neural Networks" (2017): ECE and
temperature scaling; Nguyen & O'Connor, "Posterior calibration and exploratory analysis for
natural language processing models" (2015): bins of equal mass; Brier, "Verification of forecasts
expressed in terms of probability" (1950).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from affekt.errors import LabelError

BINS = 10
FLOOR = 5e-7  # half of the last digit that probabilities are written with
LOWEST, HIGHEST = 0.05, 20.0  # temperatures; values beyond come from too few validation clips


def equal_width(bins: int = BINS) -> NDArray[np.float64]:
    """Divide [0, 1] into bins of equal width; return their ``(bins + 1,)`` rising edges.

    >>> equal_width(4).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    return np.arange(bins + 1) / bins


def equal_mass(confidence: NDArray[np.floating], bins: int = BINS) -> NDArray[np.float64]:
    """Divide [0, 1] into bins with the same number of clips, as far as ties allow.

    There are fewer than ``bins`` if many of the ``(clips,)`` confidences are equal. Returns rising
    edges, the first 0 and the last 1.

    >>> equal_mass(np.array([0.5, 0.6, 0.8, 0.9]), 2).tolist()
    [0.0, 0.7, 1.0]
    """
    inner = np.quantile(confidence, np.arange(1, bins) / bins)
    return np.unique(np.concatenate([[0.0], inner, [1.0]]))


def bin_of(confidence: NDArray[np.floating], edges: NDArray[np.floating]) -> NDArray[np.int64]:
    """Find the bin of each confidence; a bin includes its lower edge, the last one both edges.

    Args:
        confidence: ``(clips,)`` in [0, 1].
        edges: ``(bins + 1,)`` rising from 0 to 1.

    >>> bin_of(np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.5, 1.0])).tolist()
    [0, 1, 1]
    """
    found = np.searchsorted(edges, confidence, side="right") - 1
    return np.minimum(found, len(edges) - 2).astype(np.int64)


def expected_calibration_error(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], *, edges: NDArray[np.floating]
) -> float:
    """Compute the expected calibration error (ECE), in [0, 1].

    It is the mean absolute difference between confidence and accuracy over bins, weighted by
    their clips.

    Args:
        confidence: ``(clips,)`` highest probability of each clip, at least one.
        right: ``(clips,)`` whether the label of that probability is the true one.
        edges: of the bins, from :func:`equal_width` or :func:`equal_mass`.

    >>> expected_calibration_error(
    ...     np.array([0.9, 0.9, 0.6]), np.array([True, False, True]), edges=equal_width(2)
    ... ).__round__(4)
    0.1333
    """
    gaps = np.bincount(bin_of(confidence, edges), np.asarray(confidence) - right)
    return float(np.abs(gaps).sum() / len(confidence))


def calibration_floor(confidence: NDArray[np.floating], *, edges: NDArray[np.floating]) -> float:
    """Compute the ECE to expect on as many clips if confidence were perfectly calibrated.

    Arguments are those of :func:`expected_calibration_error`. Sums of right labels in a bin are
    taken as normally distributed.

    >>> calibration_floor(np.full(100, 0.5), edges=equal_width()).__round__(3)
    0.04
    """
    chance = np.asarray(confidence) * (1 - np.asarray(confidence))  # variance of a right label
    variances = np.bincount(bin_of(confidence, edges), chance)
    return float(np.sqrt(2 / np.pi * variances).sum() / len(confidence))


def brier_scores(
    probabilities: NDArray[np.floating], truth: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Compute the squared distance of each clip's probabilities from the one-hot true label.

    Args:
        probabilities: ``(clips, labels)``.
        truth: ``(clips,)`` columns of the true labels.

    Returns:
        ``(clips,)`` in [0, 2]; their mean is the Brier score.

    >>> brier_scores(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([0, 0])).tolist()
    [0.0, 0.5]
    """
    wanted = np.eye(probabilities.shape[1])[truth]
    return np.asarray(((probabilities - wanted) ** 2).sum(axis=1), np.float64)


def log_losses(
    probabilities: NDArray[np.floating], truth: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Compute the negative log-likelihood of each clip's true label, in nats.

    Shapes are those of :func:`brier_scores`; probabilities below ``FLOOR`` are raised to it. The
    mean is the log loss.

    >>> log_losses(np.array([[0.5, 0.5]]), np.array([1])).round(4).tolist()
    [0.6931]
    """
    return np.asarray(-_logs(probabilities)[np.arange(len(truth)), truth])


def fit_temperature(probabilities: NDArray[np.floating], truth: NDArray[np.integer]) -> float:
    """Find the temperature in [0.05, 20] that minimizes the log loss.

    Args:
        probabilities: ``(clips, labels)`` of validation speakers.
        truth: ``(clips,)`` columns of the true labels.

    Raises:
        LabelError: no clip.
    """
    if not len(truth):
        raise LabelError("fitting a temperature needs at least one clip. Got none. Pass some.")
    logits, clips = _logs(probabilities), np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float((np.log(np.exp(scaled).sum(axis=1)) - scaled[clips, truth]).mean())

    bounds = float(np.log(LOWEST)), float(np.log(HIGHEST))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-7})
    return float(np.exp(found.x))


def apply_temperature(
    probabilities: NDArray[np.floating], temperature: float
) -> NDArray[np.float64]:
    """Divide the logits of ``(clips, labels)`` probabilities by a temperature above 0.

    The highest probability stays the highest; a temperature above 1 makes them more even.

    >>> apply_temperature(np.array([[0.8, 0.2]]), 2.0).round(3).tolist()
    [[0.667, 0.333]]
    """
    return np.asarray(softmax(_logs(probabilities) / temperature, axis=1))


def _logs(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(np.log(np.maximum(probabilities, FLOOR)), np.float64)
