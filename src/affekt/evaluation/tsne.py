"""Activations to points in the plane: what Figure 3 shows.

Each fold has a network of its own. Its activations are centred and scaled before all are
pooled, so that folds do not stand apart merely because their networks do.

Source: van der Maaten & Hinton, "Visualizing Data using t-SNE" (2008); paper, Figure 3.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler

SEED = 0
PERPLEXITY = 30  # neighbours that a clip is compared with, scikit-learn's default


def project(activations: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Lay activations out in the plane so that neighbours stay neighbours.

    Args:
        activations: for each fold ``(clips, units)``; four clips or more in all.

    Returns:
        ``(clips of all folds, 2)`` points; the axes have no meaning and no unit.
    """
    scaled = np.concatenate([StandardScaler().fit_transform(fold) for fold in activations])
    perplexity = min(PERPLEXITY, (len(scaled) - 1) / 3)
    plane = TSNE(perplexity=perplexity, init="pca", random_state=SEED)
    return np.asarray(plane.fit_transform(scaled), np.float64)
