"""Activations to points in the plane: what Figure 3 shows.

Each fold has a network of its own. Its activations are centred and scaled before all are
pooled, so that folds do not stand apart merely because their networks do.

Source: van der Maaten & Hinton, "Visualizing Data using t-SNE" (2008); paper, Figure 3.
"""

from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from affekt.errors import RunError
from affekt.evaluation.runs import ACTIVATIONS, POINTS, Run, fold_name, read_table

COLUMNS = ("file", "truth", "x", "y")
SEED = 0
PERPLEXITY = 30  # neighbours that a clip is compared with, scikit-learn's default


def read_points(run: Run) -> pd.DataFrame:
    """Points of a run's test clips: those it keeps, or made from its folds' activations.

    Args:
        run: of either form.

    Returns:
        ``file``, ``truth``, ``x``, ``y``; no rows if no activations were saved.

    Raises:
        RunError: activations that are not those of the run's clips.
    """
    kept = read_table(run.folder / POINTS, COLUMNS, needed=False)
    paths = [run.folder / fold_name(fold["fold"]) / ACTIVATIONS for fold in run.folds]
    found = [_read(path) for path in paths if path.is_file()]
    if len(kept) or not found:
        return kept
    files = np.concatenate([files for files, _ in found])
    truth = run.predictions.set_index("file")["truth"]
    if not set(files) <= set(truth.index):
        raise RunError(f"{run.folder}: activations must be of the clips in predictions.csv.")
    points = project([activations for _, activations in found])
    columns = (files, truth[files].to_numpy(), *points.T.round(3))
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


def _read(path: Path) -> tuple[NDArray[np.str_], NDArray[np.float32]]:
    try:
        with path.open("rb") as stream, np.load(stream) as arrays:
            return arrays["files"], arrays["activations"]
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise RunError(
            f"{path}: must hold the arrays files and activations. Got {error}. Remove the file."
        ) from error


def project(activations: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Lay activations out in the plane so that neighbours stay neighbours.

    Args:
        activations: for each fold ``(clips, units)``; four clips or more in all.

    Returns:
        ``(clips of all folds, 2)`` points; the axes have no meaning and no unit.
    """
    from sklearn.manifold import TSNE  # takes a second, and only this figure needs it
    from sklearn.preprocessing import StandardScaler

    scaled = np.concatenate([StandardScaler().fit_transform(fold) for fold in activations])
    perplexity = min(PERPLEXITY, (len(scaled) - 1) / 3)
    plane = TSNE(perplexity=perplexity, init="pca", random_state=SEED)
    return np.asarray(plane.fit_transform(scaled), np.float64)
