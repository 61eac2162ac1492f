"""Collect the runs of each recipe over all seeds, and score them.

The score of several seeds is the mean of their scores. A seed with a missing fold is left out of
the score of the others. A result can be divided by enrolment condition and by tested corpus.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from affekt.corpora.joined import corpus_of
from affekt.errors import RunError
from affekt.evaluation.intervals import Interval, shown_recalls, shown_uar
from affekt.evaluation.metrics import Tally, tally
from affekt.evaluation.paper import PUBLISHED, Published
from affekt.runs.predictions import PROFILE
from affekt.runs.reading import Run

NO_PROFILE = "none"  # the enrolment condition of predictions.csv
ADDED = {  # knobs that some archived runs lack, and what they did
    "select_features": True,
    "trunk": "yamnet",
    "encoder_layers": 2,
    "context": 1,
    "recent_time_constant": 0.0,
    "augment_bandwidth": False,
    "augment_noise": False,
    "perceived": 0.0,
}


@dataclass(frozen=True, eq=False)
class Result:
    """One recipe over all seeds that it was run with."""

    recipe: str  #: its name
    #: one for each seed, sorted by seed, with equal other knobs. All are complete or none is; in a
    #: part of :attr:`by_corpus`, some may be.
    runs: tuple[Run, ...]
    #: seeds with a missing fold, if other seeds are complete; in a part, also those that have not
    #: yet tested its corpus
    unfinished: tuple[Run, ...] = ()

    @property
    def knobs(self) -> dict[str, Any]:
        """Every knob of the first seed, also those that are newer than the run."""
        return ADDED | self.runs[0].knobs

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
        """Average accuracy as tables show it: with fewer than 8 speakers, with their range."""
        return shown_uar(self.tally)

    @cached_property
    def recalls(self) -> dict[str, Interval]:
        """Class accuracies as tables show them."""
        return shown_recalls(self.tally)

    @property
    def counts(self) -> NDArray[np.int64]:
        """``(labels, labels)`` confusion pooled over folds and summed over seeds."""
        return np.asarray(self.tally.counts.sum(axis=(0, 1)))

    @cached_property
    def profiles(self) -> tuple[str, ...]:
        """Enrolment conditions of every seed: ``none``, then sorted by :func:`profile_order`."""
        found = set.intersection(*(set(run.enrolment[PROFILE].unique()) for run in self.runs))
        return (NO_PROFILE, *sorted(found, key=profile_order))

    @cached_property
    def clips(self) -> frozenset[tuple[str, str, str]]:
        """Files of all predictions, with speaker and true label."""
        rows = self.predictions[["file", "speaker", "truth"]].drop_duplicates()
        return frozenset(rows.itertuples(index=False, name=None))

    @cached_property
    def trained(self) -> str:
        """Name the corpora that it was trained on, such as ``emovo+ravdess``."""
        parts = self.runs[0].parts
        return _corpora(parts.loc[parts["part"] == "train", "speaker"].unique())

    @cached_property
    def tested(self) -> str:
        """Name the corpora that it was tested on."""
        return _corpora(self.tally.speakers)

    @cached_property
    def protocol(self) -> str:
        """Name how test speakers were chosen: by corpus, one by one, in folds, or once."""
        run = self.runs[0]
        tests, corpora = run.parts["part"] == "test", run.parts["speaker"].map(corpus_of)
        pairs = [set(zip(run.parts["fold"][x], corpora[x], strict=True)) for x in (tests, ~tests)]
        if not set.intersection(*pairs):
            several = run.planned > 1 or "+" in self.trained
            return "leave-one-corpus-out" if several else "cross-corpus"
        if run.planned == 1:
            return "held-out"
        one_by_one = run.parts["speaker"][tests].nunique() == run.planned
        return "leave-one-speaker-out" if one_by_one else f"{run.planned} speaker-folds"

    def under(self, profile: str) -> "Result":
        """Return the predictions under one of the ``profiles``."""
        if profile not in self._divided:
            tables = (run.enrolment[run.enrolment[PROFILE] == profile] for run in self.runs)
            rows = (table.drop(columns=PROFILE).reset_index(drop=True) for table in tables)
            pairs = zip(self.runs, rows, strict=True)
            runs = tuple(replace(run, predictions=own) for run, own in pairs)
            self._divided[profile] = Result(self.recipe, runs)
        return self._divided[profile]

    @cached_property
    def _divided(self) -> dict[str | frozenset[int], "Result"]:
        """The results of some enrolment conditions, and of some sets of seeds."""
        return {NO_PROFILE: self, frozenset(run.seed for run in self.runs): self}

    @cached_property
    def by_corpus(self) -> tuple["Result", ...]:
        """A result for each tested corpus, sorted by name; itself if there is only one."""
        parts = self.runs[0].parts
        planned = set(map(corpus_of, parts.loc[parts["part"] == "test", "speaker"].unique()))
        if len(planned) == 1 and "corpora" not in self.runs[0].corpus:
            return (self,)
        found = []
        for name in self.tested.split("+"):
            runs, further = ([_part(run, name) for run in x] for x in (self.runs, self.unfinished))
            begun = tuple(run for run in runs if run.folds)
            others = (*(run for run in runs if not run.folds), *further)
            found.append(Result(self.recipe, begun, others))
        return tuple(found)

    def with_seeds(self, seeds: Collection[int]) -> "Result":
        """Return the result of some seeds only."""
        runs = tuple(run for run in self.runs if run.seed in seeds)
        return self._divided.setdefault(frozenset(seeds), Result(self.recipe, runs))

    @property
    def published(self) -> Published | None:
        """The values that the paper reports for this recipe, if any."""
        return PUBLISHED.get(self.recipe)

    @property
    def complete(self) -> bool:
        """Whether every fold is finished."""
        return all(run.complete for run in self.runs)

    @property
    def progress(self) -> str:
        """Finished folds over all seeds in words, such as ``3 of 24 folds``."""
        done = sum(len(run.folds) for run in self.runs)
        planned = sum(run.planned for run in self.runs)
        return f"{done} of {planned} fold{'s' * (planned != 1)}"

    @property
    def seeds(self) -> str:
        """The seeds in words, such as ``0 1``."""
        return " ".join(str(run.seed) for run in self.runs)

    @property
    def command(self) -> str:
        """The commands that produce this result, one for each seed."""
        return " && ".join(run.command for run in self.runs)


def collect(runs: Iterable[Run]) -> tuple[Result, ...]:
    """Collect the seeds of each recipe, from runs in any order.

    Returns:
        A result for each recipe, sorted by name: of its complete runs, or of its unfinished runs
        if none is complete.

    Raises:
        RunError: a seed is given twice, or seeds of one recipe differ in recordings or other knobs.
    """
    by_recipe: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.recipe, run.seed)):
        by_recipe.setdefault(run.recipe, []).append(run)
    found = []
    for recipe, seeds in by_recipe.items():
        _check_alike(recipe, seeds)
        complete = tuple(run for run in seeds if run.complete)
        unfinished = tuple(run for run in seeds if not run.complete)
        found.append(
            Result(recipe, complete, unfinished) if complete else Result(recipe, unfinished)
        )
    return tuple(found)


def profile_order(profile: str) -> tuple[int, str, float]:
    """Return a sort key: none, random clips by number, all, one emotion, adaptive, others.

    >>> sorted(["adaptive", "all", "random-16", "random-2", "none"], key=profile_order)
    ['none', 'random-2', 'random-16', 'all', 'adaptive']
    """
    kind, _, clips = profile.rpartition("-")
    number = float(clips) if kind and clips.isdecimal() else 0.0
    fixed = {NO_PROFILE: 0, "all": 2, "adaptive": 4}
    rank = fixed.get(profile, 1 if kind == "random" else 3 if number else 5)
    return rank, kind if number else profile, number


def _corpora(speakers: Iterable[str]) -> str:
    return "+".join(sorted(set(map(corpus_of, speakers))))


def _part(run: Run, corpus: str) -> Run:
    """The part of a run that tests one of its corpora."""
    tested = _of_corpus(run.parts[run.parts["part"] == "test"], corpus)["fold"].unique()

    def of_folds(table: pd.DataFrame) -> pd.DataFrame:
        return table[table["fold"].isin(tested)].reset_index(drop=True)

    parts = of_folds(run.parts)
    other = (parts["part"] == "test") & (parts["speaker"].map(corpus_of) != corpus)
    classes = run.corpus.get("corpora", {}).get(corpus, run.corpus["classes"])
    return replace(
        run,
        corpus={**run.corpus, "name": corpus, "classes": classes},
        planned=len(tested),
        folds=tuple(fold for fold in run.folds if fold["fold"] in tested),
        parts=parts[~other].reset_index(drop=True),
        predictions=_of_corpus(run.predictions, corpus),
        enrolment=_of_corpus(run.enrolment, corpus),
        validation=of_folds(run.validation),
        curves=of_folds(run.curves),
    )


def _of_corpus(table: pd.DataFrame, corpus: str) -> pd.DataFrame:
    names = [name for name in table["speaker"].unique() if corpus_of(name) == corpus]
    return table[table["speaker"].isin(names)].reset_index(drop=True)


def _check_alike(recipe: str, runs: Sequence[Run]) -> None:
    first = runs[0]
    for before, run in pairwise(runs):
        if before.seed == run.seed:
            raise RunError(
                f"recipe {recipe}: each seed must be given once. Got seed {run.seed} twice, "
                f"with digests {before.digest} and {run.digest}. Leave one out."
            )
        ours, theirs = ADDED | first.knobs, ADDED | run.knobs
        names = sorted((ours.keys() & theirs.keys()) - {"seed"})  # newer runs have more
        odd = [name for name in names if ours[name] != theirs[name]]
        if first.corpus["digest"] != run.corpus["digest"]:
            odd.append("recordings")
        if odd:
            raise RunError(
                f"recipe {recipe}: its runs must have equal knobs, but for the seed, and the same "
                f"recordings. Got seeds {first.seed} and {run.seed} with different "
                f"{', '.join(odd)}. Give the variant its own name."
            )
