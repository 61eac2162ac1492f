"""Probabilities to how far they can be trusted, and to probabilities that can be.

Everything is a sum over clips, so it can be pooled over folds and resampled by speaker. A
scaling is fitted on the answers for validation speakers and applied to those for test
speakers; log-probabilities serve as logits, from which they differ by a constant for each clip
that no scaling here feels.

Source: Guo, Pleiss, Sun & Weinberger, "On Calibration of Modern Neural Networks" (2017): ECE,
temperature and vector scaling; Nguyen & O'Connor, "Posterior calibration and exploratory
analysis for natural language processing models" (2015): bins of equal mass; Brier,
"Verification of forecasts expressed in terms of probability" (1950).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import logsumexp, softmax

from affekt.errors import LabelError

BINS = 10
FLOOR = 5e-7  # half of the last digit that probabilities are written with
SHARPEST, FLATTEST = 0.05, 20.0  # temperatures; beyond, few validation clips speak for luck
SHIFT = 5.0  # nats that vector scaling may add to a label at most


@dataclass(frozen=True)
class Scaling:
    """What to do with log-probabilities: times ``scale``, plus ``shift``, softmax again.

    Attributes:
        scale: ``(labels,)`` factors, all above 0; for a temperature T all are 1 / T.
        shift: ``(labels,)`` in nats; zeros for a temperature.
    """

    scale: NDArray[np.float64]
    shift: NDArray[np.float64]

    def __call__(self, probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        """``(clips, labels)`` probabilities to calibrated ones of the same shape."""
        return _softmax(self.scale * _logs(probabilities) + self.shift)


def equal_width(bins: int = BINS) -> NDArray[np.float64]:
    """Edges that cut [0, 1] into parts of one width.

    Args:
        bins: how many parts.

    Returns:
        ``(bins + 1,)`` rising edges.

    >>> equal_width(4).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    return np.arange(bins + 1) / bins


def equal_mass(confidence: NDArray[np.floating], bins: int = BINS) -> NDArray[np.float64]:
    """Edges that cut [0, 1] into parts that hold as many clips each, as far as ties allow.

    Args:
        confidence: ``(clips,)`` in [0, 1].
        bins: how many parts at most; fewer if many confidences are the same.

    Returns:
        Rising edges, the first 0 and the last 1.

    >>> equal_mass(np.array([0.5, 0.6, 0.8, 0.9]), 2).tolist()
    [0.0, 0.7, 1.0]
    """
    inner = np.quantile(confidence, np.arange(1, bins) / bins)
    return np.unique(np.concatenate([[0.0], inner, [1.0]]))


def bin_of(confidence: NDArray[np.floating], edges: NDArray[np.floating]) -> NDArray[np.int64]:
    """In which bin each confidence lies: a bin holds its lower edge, the last one both.

    Args:
        confidence: ``(clips,)`` in [0, 1].
        edges: ``(bins + 1,)`` rising from 0 to 1.

    Returns:
        ``(clips,)`` numbers of bins, from 0.

    Raises:
        LabelError: edges that do not rise from 0 to 1.

    >>> bin_of(np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.5, 1.0])).tolist()
    [0, 1, 1]
    """
    if not (len(edges) > 1 and edges[0] == 0 and edges[-1] == 1 and (np.diff(edges) > 0).all()):
        raise LabelError(
            f"edges of bins must rise from 0 to 1. Got {[float(edge) for edge in edges]}. "
            f"Use equal_width or equal_mass."
        )
    found = np.searchsorted(edges, confidence, side="right") - 1
    return np.minimum(found, len(edges) - 2).astype(np.int64)


def expected_calibration_error(
    confidence: NDArray[np.floating],
    right: NDArray[np.bool_],
    *,
    edges: NDArray[np.floating],
) -> float:
    """Mean distance of confidence and accuracy, each bin weighing by its clips (ECE).

    Args:
        confidence: ``(clips,)`` highest probability of each clip.
        right: ``(clips,)`` whether the label of that probability is the true one.
        edges: of the bins, from :func:`equal_width` or :func:`equal_mass`.

    Returns:
        ECE in [0, 1].

    Raises:
        LabelError: edges that do not rise from 0 to 1, or no clip.

    >>> expected_calibration_error(
    ...     np.array([0.9, 0.9, 0.6]), np.array([True, False, True]), edges=equal_width(2)
    ... ).__round__(4)
    0.1333
    """
    if not len(confidence):
        raise LabelError("an expected calibration error must be of a clip or more. Got none.")
    gaps = np.bincount(bin_of(confidence, edges), np.asarray(confidence) - right)
    return float(np.abs(gaps).sum() / len(confidence))


def brier_scores(
    probabilities: NDArray[np.floating], truth: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Squared distance of each clip's probabilities from what was true; its mean is the score.

    Args:
        probabilities: ``(clips, labels)``.
        truth: ``(clips,)`` columns of the true labels.

    Returns:
        ``(clips,)`` in [0, 2]: 0 for certain and right, 2 for certain and wrong.

    >>> brier_scores(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([0, 0])).tolist()
    [0.0, 0.5]
    """
    wanted = np.eye(probabilities.shape[1])[truth]
    return np.asarray(((probabilities - wanted) ** 2).sum(axis=1), np.float64)


def log_losses(
    probabilities: NDArray[np.floating], truth: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Negative log-likelihood of each clip's true label; its mean is the score.

    Args:
        probabilities: ``(clips, labels)``; one below ``FLOOR`` counts as that.
        truth: ``(clips,)`` columns of the true labels.

    Returns:
        ``(clips,)`` nats, 0 or more.

    >>> log_losses(np.array([[0.5, 0.5]]), np.array([1])).round(4).tolist()
    [0.6931]
    """
    return np.asarray(-_logs(probabilities)[np.arange(len(truth)), truth])


def fit_temperature(probabilities: NDArray[np.floating], truth: NDArray[np.integer]) -> Scaling:
    """Find the one temperature that makes the true labels most likely; no answer changes.

    Args:
        probabilities: ``(clips, labels)`` of validation speakers.
        truth: ``(clips,)`` columns of the true labels.

    Returns:
        The scaling; its temperature lies in [0.05, 20].

    Raises:
        LabelError: no clip.
    """
    logits = _given(probabilities, truth)

    def loss(log_temperature: float) -> float:
        return _mean_loss(logits / np.exp(log_temperature), truth)

    bounds = float(np.log(SHARPEST)), float(np.log(FLATTEST))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-7})
    labels = logits.shape[1]
    return Scaling(np.full(labels, float(np.exp(-found.x))), np.zeros(labels))


def fit_vector(probabilities: NDArray[np.floating], truth: NDArray[np.integer]) -> Scaling:
    """Find the factor and the shift of each label that make the true labels most likely.

    Args:
        probabilities: ``(clips, labels)`` of validation speakers.
        truth: ``(clips,)`` columns of the true labels.

    Returns:
        The scaling: factors in [1 / 20, 20], shifts in [-5, 5] nats whose mean is about 0,
        since a shift of all labels changes nothing. It may change answers.

    Raises:
        LabelError: no clip.
    """
    logits = _given(probabilities, truth)
    clips, labels = logits.shape
    wanted = np.eye(labels)[truth]

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scaled = values[:labels] * logits + values[labels:]
        slope = (_softmax(scaled) - wanted) / clips
        gradient = np.concatenate([(slope * logits).sum(axis=0), slope.sum(axis=0)])
        return _mean_loss(scaled, truth), gradient

    start = fit_temperature(probabilities, truth)
    bounds = [(1 / FLATTEST, 1 / SHARPEST)] * labels + [(-SHIFT, SHIFT)] * labels
    options = {"ftol": 1e-12, "gtol": 1e-8, "maxiter": 1000}
    first = np.concatenate([start.scale, start.shift])
    found = minimize(loss, first, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return Scaling(found.x[:labels], found.x[labels:])


def _given(probabilities: NDArray[np.floating], truth: NDArray[np.integer]) -> NDArray[np.float64]:
    if not len(truth):
        raise LabelError("a scaling must be fitted on a clip or more. Got none.")
    return _logs(probabilities)


def _logs(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(np.log(np.maximum(probabilities, FLOOR)), np.float64)


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(softmax(logits, axis=1))


def _mean_loss(logits: NDArray[np.float64], truth: NDArray[np.integer]) -> float:
    """Exact where a rounded probability would be 0, so that it and its slope agree."""
    true = logits[np.arange(len(truth)), truth]
    return float((logsumexp(logits, axis=1) - true).mean())
