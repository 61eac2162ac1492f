"""Correct mean probabilities for the model's errors, known from cross-validation.

Row k of a speaker's confusion matrix is the mean of the probabilities over the clips of that
speaker whose true emotion is k. A mean of probabilities is the true shares times this matrix, so
solving for the shares corrects it. The matrix of a new person is unknown; the spread over
speakers tells how uncertain the corrected share is.

Source: Bella et al., "Quantification via Probability Estimators" (2010). Projection on the simplex:
Duchi et al., "Efficient Projections onto the l1-Ball" (2008).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from affekt.inference.shipped_models import DEFAULT_MODEL, shipped_digest

Floats = NDArray[np.float64]
FILE = Path(__file__).with_name("confusion.json")


@dataclass(frozen=True, eq=False)
class Confusion:
    """Confusion matrices of some speakers."""

    source: str  #: the run that they were computed from; empty if probabilities are not corrected
    matrices: Floats  #: ``(speakers, labels, labels)``, rows of true labels; each row sums to 1

    @classmethod
    def read(cls, labels: Sequence[str], model: str) -> Self:
        """Read the matrices of the model of this digest; none correct any but the default model."""
        if model != shipped_digest(f"{DEFAULT_MODEL}.onnx"):
            return cls("", np.eye(len(labels))[None])
        content = json.loads(FILE.read_text(encoding="utf-8"))
        order = [content["labels"].index(label) for label in labels]
        matrices = np.array(list(content["speakers"].values()), np.float64)
        matrices /= matrices.sum(axis=2, keepdims=True)
        return cls(content["source"], matrices[:, order][:, :, order])

    def linear(self, means: Floats) -> Floats:
        """Correct by the mean matrix, unbounded: ``(rows, labels)`` to ``(rows, labels)``."""
        return np.asarray(means @ np.linalg.pinv(self.matrices.mean(axis=0)))

    def correct(
        self, means: Floats, drawn: NDArray[np.int64] | None = None, prior: Floats | float = 0.0
    ) -> Floats:
        """Estimate true shares, ``(rows, labels)`` in [0, 1] with rows that sum to 1.

        Args:
            means: ``(rows, labels)`` mean probabilities.
            drawn: ``(rows,)`` speaker whose matrix a row uses; the mean matrix by default.
            prior: ``(rows, labels)`` weight of recordings that are added to each emotion, as a
                multiple of the weight of all others.
        """
        if drawn is None:
            return on_simplex(self.linear(means))
        inverse = np.linalg.pinv(self.matrices)[drawn]
        shares = np.einsum("rk,rkl->rl", means, inverse) + prior
        return on_simplex(shares / shares.sum(axis=1, keepdims=True))


def on_simplex(values: Floats) -> Floats:
    """Project rows on the nearest shares: none negative, and their sum is 1.

    >>> on_simplex(np.array([[0.5, 0.7, -0.2]]))
    array([[0.4, 0.6, 0. ]])
    """
    ordered = -np.sort(-values, axis=-1)
    excess = np.cumsum(ordered, axis=-1) - 1.0
    rank = np.arange(1, values.shape[-1] + 1)
    positive = (ordered - excess / rank > 0).sum(axis=-1, keepdims=True)
    threshold = np.take_along_axis(excess, positive - 1, axis=-1) / positive
    return np.asarray(np.maximum(values - threshold, 0.0))
