"""Runs to results: all seeds of a recipe together, scored.

A score of several seeds is the mean of the seeds' scores; the seeds themselves are listed
beside it. A seed with a fold missing counts in no score of the others.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from affekt.errors import RunError
from affekt.evaluation.intervals import Interval, recall_intervals, uar_interval
from affekt.evaluation.paper import PUBLISHED, Published
from affekt.evaluation.predictions import Tally, tally
from affekt.evaluation.runs import Run


@dataclass(frozen=True)
class Result:
    """One recipe, over all the seeds it was run with.

    Attributes:
        recipe: its name.
        runs: one for each seed, sorted by seed; alike in all other knobs. They are all complete,
            or none is.
        unfinished: seeds with a fold missing, beside complete ones.
    """

    recipe: str
    runs: tuple[Run, ...]
    unfinished: tuple[Run, ...] = ()

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """Rows of all seeds."""
        return pd.concat([run.predictions for run in self.runs], ignore_index=True)

    @cached_property
    def tally(self) -> Tally:
        """Counts by seed and speaker."""
        return tally(self.predictions)

    @cached_property
    def uar(self) -> Interval:
        """Average accuracy with its interval."""
        return uar_interval(self.tally)

    @cached_property
    def recalls(self) -> dict[str, Interval]:
        """Class accuracies with their intervals."""
        return recall_intervals(self.tally)

    @property
    def counts(self) -> NDArray[np.int64]:
        """``(labels, labels)`` confusion pooled over folds and summed over seeds."""
        return np.asarray(self.tally.counts.sum(axis=(0, 1)))

    @property
    def published(self) -> Published | None:
        """What the paper reports for this recipe, if it does."""
        return PUBLISHED.get(self.recipe)

    @property
    def complete(self) -> bool:
        """Whether every fold is finished, so that there is a score to speak of."""
        return all(run.complete for run in self.runs)

    @property
    def progress(self) -> str:
        """Folds done, in words, such as ``3 of 24 folds``; those of all seeds together."""
        done = sum(len(run.folds) for run in self.runs)
        return f"{done} of {sum(run.planned for run in self.runs)} folds"

    @property
    def command(self) -> str:
        """What makes this row, one run after the other."""
        return " && ".join(run.command for run in self.runs)


def collect(runs: Iterable[Run]) -> tuple[Result, ...]:
    """Put the seeds of each recipe together.

    Args:
        runs: in any order.

    Returns:
        A result for each recipe, sorted by name: of its complete runs, or of what is there if
        none is.

    Raises:
        RunError: a seed twice, or seeds of one recipe whose other knobs differ.
    """
    by_recipe: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.recipe, run.seed)):
        by_recipe.setdefault(run.recipe, []).append(run)
    for recipe, seeds in by_recipe.items():
        _check_alike(recipe, seeds)
    return tuple(_result(recipe, seeds) for recipe, seeds in by_recipe.items())


def _result(recipe: str, runs: Sequence[Run]) -> Result:
    complete = tuple(run for run in runs if run.complete)
    if not complete:
        return Result(recipe, tuple(runs))
    return Result(recipe, complete, tuple(run for run in runs if not run.complete))


def _check_alike(recipe: str, runs: Sequence[Run]) -> None:
    first = runs[0]
    for before, run in pairwise(runs):
        if before.seed == run.seed:
            raise RunError(
                f"recipe {recipe}: must be given once for each seed. Got seed {run.seed} twice, "
                f"of digest {before.digest} and {run.digest}. Leave one out."
            )
        names = sorted({*first.knobs, *run.knobs} - {"seed"})
        odd = [name for name in names if first.knobs.get(name) != run.knobs.get(name)]
        if odd:
            raise RunError(
                f"recipe {recipe}: its seeds must differ in nothing else. Got seeds {first.seed} "
                f"and {run.seed} with different {', '.join(odd)}. Give the variant its own name."
            )
