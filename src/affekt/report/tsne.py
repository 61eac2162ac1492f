"""Project network activations to two dimensions by t-SNE (Figure 3 of the paper).

Each fold has its own network. Its activations are standardized before all folds are pooled, so
that differences between the networks do not separate the folds.

Source: van der Maaten & Hinton, "Visualizing Data using t-SNE" (2008); paper, Figure 3.
"""

from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from affekt.errors import RunError
from affekt.runs.folder import ACTIVATIONS, POINTS, fold_name, table_file
from affekt.runs.reading import Run, read_table

COLUMNS = ("file", "truth", "x", "y")
SEED = 0
PERPLEXITY = 30  # effective number of neighbours; the default of scikit-learn


def read_points(run: Run) -> pd.DataFrame:
    """Read the points of an archived run, or project the activations of a run folder.

    Returns:
        ``file``, ``truth``, ``x``, ``y`` of the test clips; no rows if no activations were saved,
        or of fewer than four clips.

    Raises:
        RunError: the activations belong to other clips.
    """
    archived = read_table(table_file(run.folder, POINTS), COLUMNS)
    paths = [run.folder / fold_name(fold["fold"]) / ACTIVATIONS for fold in run.folds]
    found = [_read(path) for path in paths if path.is_file()]
    if len(archived) or not found:
        return archived
    files = np.concatenate([files for files, _ in found])
    truth = run.predictions.set_index("file")["truth"]
    if not set(files) <= set(truth.index):
        raise RunError(
            f"{run.folder}: activations must be of the clips in predictions.csv. Got others. "
            f"Restore the files, or run the recipe again."
        )
    if len(files) < 4:
        return archived
    points = project([activations for _, activations in found])
    columns = (files, truth[files].to_numpy(), *points.T.round(3))
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


def _read(path: Path) -> tuple[NDArray[np.str_], NDArray[np.float32]]:
    try:
        with path.open("rb") as stream, np.load(stream) as arrays:
            return arrays["files"], arrays["activations"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise RunError(
            f"{path}: must hold the arrays files and activations. Got {error}. Remove the file."
        ) from error


def project(activations: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Project ``(clips, units)`` of each fold to ``(clips of all folds, 2)`` points by t-SNE.

    There must be four clips or more in all. The axes have no meaning and no unit.
    """
    from sklearn.manifold import TSNE  # slow to import, and only this figure needs it
    from sklearn.preprocessing import StandardScaler

    scaled = np.concatenate([StandardScaler().fit_transform(fold) for fold in activations])
    perplexity = min(PERPLEXITY, (len(scaled) - 1) / 3)
    plane = TSNE(perplexity=perplexity, init="pca", random_state=SEED)
    return np.asarray(plane.fit_transform(scaled), np.float64)
