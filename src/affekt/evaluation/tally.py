"""Count truths and predictions of each seed and speaker; all scores are computed from them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from affekt.runs.predictions import labels_of


@dataclass(frozen=True)
class Tally:
    """Confusion matrices of one recipe, one for each seed and speaker.

    Attributes:
        labels: ``(labels,)`` in the order of rows and columns.
        seeds: the seeds in the order of the first axis.
        speakers: the speakers in the order of the second axis.
        counts: ``(seeds, speakers, labels, labels)``; a row is a true label.
    """

    labels: tuple[str, ...]
    seeds: tuple[int, ...]
    speakers: tuple[str, ...]
    counts: NDArray[np.int64]


def tally(table: pd.DataFrame) -> Tally:
    """Count the truths and predictions of one recipe, all seeds and folds.

    Returns:
        The counts; their sum over seeds and speakers is the pooled confusion matrix.
    """
    labels = labels_of(table)
    seed, seeds = pd.factorize(table["seed"], sort=True)
    speaker, speakers = pd.factorize(table["speaker"], sort=True)
    names = pd.Index(labels)
    truth, predicted = (
        names.get_indexer(pd.Index(table[column])) for column in ("truth", "predicted")
    )
    shape = len(seeds), len(speakers), len(labels), len(labels)
    cells = np.ravel_multi_index((seed, speaker, truth, predicted), shape)
    counts = np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape)
    return Tally(labels, tuple(map(int, seeds)), tuple(speakers), counts)
