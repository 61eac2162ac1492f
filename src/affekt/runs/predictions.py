"""Read ``predictions.csv`` and its variants, and check them.

One row is the prediction of one seed of one recipe for one test clip: ``recipe, seed, fold, file,
speaker, gender, truth, predicted`` and a probability ``p_<label>`` for each label, in the
task's order. Every number of a report is computed from such tables alone.

Two more files have the same columns. ``enrolment.csv`` holds predictions of the test clips with
each enrolment of their speakers, named in the column ``profile``; ``validation.csv`` holds those of
the validation clips of each fold, on which calibration is fitted.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from affekt.corpora.clips import GENDERS
from affekt.errors import LabelError, RunError

COLUMNS = ("recipe", "seed", "fold", "file", "speaker", "gender", "truth", "predicted")
PROFILE = "profile"  # column with the name of the enrolment
PROBABILITY = "p_"  # prefix of the columns of probabilities
SUM_TOLERANCE = 1e-3  # probabilities are written rounded


def read_predictions(*paths: Path) -> pd.DataFrame:
    """Read ``predictions.csv`` files and check that together they can be scored.

    Returns:
        Their rows in the files' order; seed and fold are integers, probabilities floats.

    Raises:
        RunError: not such a file: unreadable, columns missing, a clip twice, a speaker in two
            folds, values that are no probabilities.
        LabelError: a label without a column of probabilities.
    """
    return _checked(paths, once=("recipe", "seed", "file"))


def read_validation(*paths: Path) -> pd.DataFrame:
    """Read ``validation.csv`` files as :func:`read_predictions`; folds may share a clip."""
    return _checked(paths, once=("recipe", "seed", "fold", "file"))


def read_enrolment(*paths: Path) -> pd.DataFrame:
    """Read ``enrolment.csv`` files as :func:`read_predictions`, with the column ``profile``."""
    return _checked(paths, once=("recipe", "seed", PROFILE, "file"))


def labels_of(table: pd.DataFrame) -> tuple[str, ...]:
    """Labels of a predictions table, in the order of its probability columns.

    >>> labels_of(pd.DataFrame(columns=["truth", "p_sad", "p_angry"]))
    ('sad', 'angry')
    """
    return tuple(c.removeprefix(PROBABILITY) for c in table.columns if c.startswith(PROBABILITY))


def _checked(paths: Sequence[Path], once: Sequence[str]) -> pd.DataFrame:
    """Read and check files whose rows are different in the columns ``once``."""
    columns = (PROFILE, *COLUMNS) if PROFILE in once else COLUMNS
    table = pd.concat({path: _read(path, columns) for path in paths})
    labels = labels_of(table)
    for column in ("truth", "predicted"):
        unknown = ~table[column].isin(labels)
        _refuse(table, unknown, column, f"one of {', '.join(labels)}", LabelError)
    _refuse(table, ~table["gender"].isin(GENDERS), "gender", "f, m or empty")
    for column in {"recipe", "file", "speaker", PROFILE} & {*columns}:
        _refuse(table, table[column] == "", column, "filled in")
    for column in ("seed", "fold"):
        table[column] = _numbers(table, column).astype(int)
    for label in labels:
        table[PROBABILITY + label] = _numbers(table, PROBABILITY + label)
    _check_probabilities(table)
    _check_rows(table, once)
    return table.reset_index(drop=True)


def _read(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a file; columns of numbers that hold other text stay text, for :func:`_numbers`."""
    text = dict.fromkeys({PROFILE, *COLUMNS} - {"seed", "fold"}, str)
    table = read_csv(path, dtype=text, keep_default_na=False, low_memory=False)
    missing = [name for name in columns if name not in table.columns]
    if missing or not labels_of(table) or table.empty:
        raise RunError(
            f"{path}: must have rows, the columns {', '.join(columns)}, and p_<label> for each "
            f"label. Got rows: {len(table)}, of {', '.join(table.columns)}. Restore the file."
        )
    return table


def read_csv(path: Path, **options: Any) -> pd.DataFrame:
    """Read a CSV file with options of :func:`pandas.read_csv`, or say in one line why not.

    Raises:
        RunError: unreadable, or no CSV of UTF-8 text.
    """
    try:
        table: pd.DataFrame = pd.read_csv(path, **options)
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}. Check the path.") from error
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise RunError(
            f"{path}: must be a CSV of UTF-8 text. Got: {reason}. Restore the file."
        ) from error
    return table


def _numbers(table: pd.DataFrame, column: str) -> "pd.Series[float]":
    numbers = pd.to_numeric(table[column], errors="coerce")
    whole = column in ("seed", "fold")
    wrong = ~np.isfinite(numbers)
    if whole:
        wrong |= numbers % 1 != 0
    _refuse(table, wrong, column, "a whole number" if whole else "a number")
    return numbers


def _check_probabilities(table: pd.DataFrame) -> None:
    labels = labels_of(table)
    given = table[[PROBABILITY + label for label in labels]].to_numpy()
    for label, column in zip(labels, given.T, strict=True):
        _refuse(table, (column < 0) | (column > 1), PROBABILITY + label, "in [0, 1]")
    total = given.sum(axis=1).round(4)
    wrong = np.abs(total - 1) > SUM_TOLERANCE
    _refuse(table.assign(sum=total), wrong, "sum", "1 over the probabilities")
    at = pd.Index(labels).get_indexer(pd.Index(table["predicted"]))
    lower = given[np.arange(len(table)), at] < given.max(axis=1)
    _refuse(table, lower, "predicted", "the label of the highest probability")


def _check_rows(table: pd.DataFrame, once: Sequence[str]) -> None:
    *run, _ = once
    unit = f"{', '.join(run[:-1])} and {run[-1]}"
    needed = {*once, "fold", "speaker", "gender"}
    codes = pd.DataFrame({name: pd.factorize(table[name])[0] for name in needed})  # fast to compare
    _refuse(table, codes.duplicated(list(once)), "file", f"there once for a {unit}")
    for part, whole in (("fold", [*run, "speaker"]), ("gender", ["speaker"])):
        first = codes.groupby(whole)[part].transform("first")
        _refuse(table, codes[part] != first, part, "the same for all clips of a speaker")


def _refuse(
    table: pd.DataFrame,
    wrong: "pd.Series[bool] | NDArray[np.bool_]",
    column: str,
    allowed: str,
    error: type[LabelError | RunError] = RunError,
) -> None:
    at = np.flatnonzero(wrong)
    if at.size:
        path, row = table.index[at[0]]
        got = table[column].iloc[at[0]]
        raise error(
            f"{path}, line {row + 2}: {column} must be {allowed}. Got {got}. Restore the file."
        )
