"""Runs to results: all seeds of a recipe together, scored.

A score of several seeds is the mean of the seeds' scores; the seeds themselves are listed
beside it. A seed with a fold missing counts in no score of the others. A result can be seen in
parts: as it answered under one profile of the speakers, and as it answered one of the corpora
that it was tested on.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from affekt.errors import RunError
from affekt.evaluation.intervals import Interval, recall_intervals, uar_interval
from affekt.evaluation.paper import PUBLISHED, Published
from affekt.evaluation.predictions import PROFILE
from affekt.evaluation.runs import Run
from affekt.evaluation.tally import Tally, tally

NO_PROFILE = "none"  # the condition of predictions.csv


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

    @cached_property
    def profiles(self) -> tuple[str, ...]:
        """Under what profiles every seed was tested: ``none``, then in :func:`profile_order`."""
        found = [set(run.enrolment[PROFILE]) for run in self.runs]
        return (NO_PROFILE, *sorted(set.intersection(*found), key=profile_order))

    def under(self, profile: str) -> "Result":
        """The same recipe as it answered under one of its ``profiles``."""
        if profile == NO_PROFILE:
            return self
        runs = []
        for run in self.runs:
            rows = run.enrolment[run.enrolment[PROFILE] == profile].drop(columns=PROFILE)
            runs.append(replace(run, predictions=rows.reset_index(drop=True)))
        return Result(self.recipe, tuple(runs))

    @cached_property
    def by_corpus(self) -> tuple["Result", ...]:
        """A result for each corpus that was tested, sorted by name; itself if one only is to be."""
        parts = self.runs[0].parts
        planned = set(parts.loc[parts["part"] == "test", "speaker"].map(corpus_of))
        if len(planned) == 1:
            return (self,)
        tested = sorted({corpus_of(speaker) for speaker in self.tally.speakers})
        found = []
        for name in tested:
            runs = [_part(run, name) for run in self.runs]
            found.append(Result(self.recipe, tuple(run for run in runs if run.folds)))
        return tuple(found)

    def with_seeds(self, seeds: Collection[int]) -> "Result":
        """Of the same recipe these seeds alone."""
        return Result(self.recipe, tuple(run for run in self.runs if run.seed in seeds))

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


def corpus_of(speaker: str) -> str:
    """The corpus that a speaker's name begins with.

    >>> corpus_of("emovo:f1")
    'emovo'
    """
    return speaker.partition(":")[0]


def profile_order(profile: str) -> tuple[int, str, float]:
    """A key that sorts profiles: none, random clips by number, all, one mood, adaptive, others.

    >>> sorted(["adaptive", "all", "random-16", "random-2", "none"], key=profile_order)
    ['none', 'random-2', 'random-16', 'all', 'adaptive']
    """
    kind, _, clips = profile.rpartition("-")
    number = float(clips) if kind and clips.isdecimal() else 0.0
    fixed = {NO_PROFILE: 0, "all": 2, "adaptive": 4}
    rank = fixed.get(profile, 1 if kind == "random" else 3 if number else 5)
    return rank, kind if number else profile, number


def _part(run: Run, corpus: str) -> Run:
    """What a run has to do with testing one of its corpora."""
    predictions = _of_corpus(run.predictions, corpus)
    tested = _of_corpus(run.parts[run.parts["part"] == "test"], corpus)["fold"].unique()
    folds = tuple(fold for fold in run.folds if fold["fold"] in tested)
    validation, curves = (
        table[table["fold"].isin(tested)].reset_index(drop=True)
        for table in (run.validation, run.curves)
    )
    parts = run.parts[run.parts["fold"].isin(tested)]
    strangers = (parts["part"] == "test") & (parts["speaker"].map(corpus_of) != corpus)
    classes = run.corpus.get("corpora", {}).get(corpus, run.corpus["classes"])
    return replace(
        run,
        corpus={**run.corpus, "name": corpus, "classes": classes},
        planned=len(tested),
        folds=folds,
        parts=parts[~strangers].reset_index(drop=True),
        predictions=predictions,
        enrolment=_of_corpus(run.enrolment, corpus),
        validation=validation,
        curves=curves,
    )


def _of_corpus(table: pd.DataFrame, corpus: str) -> pd.DataFrame:
    return table[table["speaker"].map(corpus_of) == corpus].reset_index(drop=True)


def _check_alike(recipe: str, runs: Sequence[Run]) -> None:
    first = runs[0]
    for before, run in pairwise(runs):
        if before.seed == run.seed:
            raise RunError(
                f"recipe {recipe}: must be given once for each seed. Got seed {run.seed} twice, "
                f"of digest {before.digest} and {run.digest}. Leave one out."
            )
        names = sorted((first.knobs.keys() & run.knobs.keys()) - {"seed"})  # of newer runs more
        odd = [name for name in names if first.knobs[name] != run.knobs[name]]
        if odd:
            raise RunError(
                f"recipe {recipe}: its seeds must differ in nothing else. Got seeds {first.seed} "
                f"and {run.seed} with different {', '.join(odd)}. Give the variant its own name."
            )
