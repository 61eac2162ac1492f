"""``predictions.csv`` to a checked table, and to counts by seed and speaker.

One row is one test clip as one seed of one recipe answered it: ``recipe, seed, fold, file,
speaker, gender, truth, predicted`` and a probability ``p_<label>`` for each label, in the
task's order. Every number of a report follows from such tables alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from affekt.errors import LabelError, RunError
from affekt.evaluation.metrics import confusion

COLUMNS = ("recipe", "seed", "fold", "file", "speaker", "gender", "truth", "predicted")
PROBABILITY = "p_"  # heads the column of each label's probability
GENDERS = ("f", "m", "")
SUM_TOLERANCE = 1e-3  # probabilities are written rounded


@dataclass(frozen=True)
class Tally:
    """Confusion counts of one recipe, apart for each seed and speaker.

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


def read_predictions(path: Path) -> pd.DataFrame:
    """Read a ``predictions.csv`` and check that it can be scored.

    Args:
        path: the file.

    Returns:
        Its rows in the file's order; seed and fold are integers, probabilities floats.

    Raises:
        RunError: not such a file: unreadable, columns missing, a clip twice, a speaker in two
            folds, probabilities that are none.
        LabelError: a label that no probability column stands for.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise RunError(f"{path}: must be a CSV of UTF-8 text. Got: {reason}.") from error
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise RunError(f"{path}: must have the columns {', '.join(COLUMNS)}. Missing: {missing}.")
    _check_labels(path, table)
    for name in ("seed", "fold"):
        table[name] = _numbers(path, table, name).astype(int)
    for label in labels_of(table):
        table[PROBABILITY + label] = _numbers(path, table, PROBABILITY + label)
    _check_probabilities(path, table)
    _check_rows(path, table)
    return table


def labels_of(table: pd.DataFrame) -> tuple[str, ...]:
    """Labels of a predictions table, in the order of its probability columns.

    >>> labels_of(pd.DataFrame(columns=["truth", "p_sad", "p_angry"]))
    ('sad', 'angry')
    """
    return tuple(c.removeprefix(PROBABILITY) for c in table.columns if c.startswith(PROBABILITY))


def tally(table: pd.DataFrame) -> Tally:
    """Count truths and predictions for each seed and speaker.

    Args:
        table: predictions of one recipe, all seeds and folds, as ``read_predictions`` gives.

    Returns:
        The counts; their sum over seeds and speakers is the pooled confusion matrix.
    """
    labels = labels_of(table)
    seeds = tuple(sorted(table["seed"].unique().tolist()))
    speakers = tuple(sorted(table["speaker"].unique()))
    counts = np.zeros((len(seeds), len(speakers), len(labels), len(labels)), np.int64)
    for (seed, speaker), rows in table.groupby(["seed", "speaker"]):
        at = seeds.index(int(str(seed))), speakers.index(str(speaker))
        counts[at] = confusion(rows["truth"], rows["predicted"], labels=labels)
    return Tally(labels, seeds, speakers, counts)


def _numbers(path: Path, table: pd.DataFrame, column: str) -> "pd.Series[float]":
    numbers = pd.to_numeric(table[column], errors="coerce")
    whole = column in ("seed", "fold")
    wrong = ~np.isfinite(numbers) | (whole & (numbers % 1 != 0))
    _refuse(path, table, wrong, column, "a whole number" if whole else "a number")
    return numbers


def _check_labels(path: Path, table: pd.DataFrame) -> None:
    labels = labels_of(table)
    if not labels or len(table) == 0:
        raise RunError(f"{path}: must have rows, and a column p_<label> for each label. Got none.")
    for column in ("truth", "predicted"):
        unknown = ~table[column].isin(labels)
        _refuse(path, table, unknown, column, f"one of {', '.join(labels)}", LabelError)
    _refuse(path, table, ~table["gender"].isin(GENDERS), "gender", "f, m or empty")
    for column in ("recipe", "file", "speaker"):
        _refuse(path, table, table[column] == "", column, "filled in")


def _check_probabilities(path: Path, table: pd.DataFrame) -> None:
    columns = [PROBABILITY + label for label in labels_of(table)]
    given = table[columns]
    outside = ((given < 0) | (given > 1)).any(axis=1)
    _refuse(path, table, outside, columns[0], "a probability in [0, 1], like its neighbours")
    total = given.sum(axis=1)
    wrong = (total - 1).abs() > SUM_TOLERANCE
    _refuse(path, table.assign(sum=total.round(4)), wrong, "sum", "1 over the probabilities")


def _check_rows(path: Path, table: pd.DataFrame) -> None:
    run = ["recipe", "seed"]
    twice = table.duplicated([*run, "file"])
    _refuse(path, table, twice, "file", "there once for a recipe and seed")
    for part, whole, rule in (
        ("fold", [*run, "speaker"], "the same for all clips of a speaker"),
        ("gender", ["speaker"], "the same for all clips of a speaker"),
        ("truth", ["file"], "the same for every recipe and seed"),
        ("speaker", ["file"], "the same for every recipe and seed"),
    ):
        first = table.groupby(whole)[part].transform("first")
        _refuse(path, table, table[part] != first, part, rule)


def _refuse(
    path: Path,
    table: pd.DataFrame,
    wrong: Sequence[bool] | "pd.Series[bool]",
    column: str,
    allowed: str,
    error: type[LabelError | RunError] = RunError,
) -> None:
    at = np.flatnonzero(np.asarray(wrong))
    if at.size:
        got = table[column].iloc[at[0]]
        raise error(f"{path}, line {at[0] + 2}: {column} must be {allowed}. Got {got!r}.")
