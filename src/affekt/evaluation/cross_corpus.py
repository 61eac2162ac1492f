"""Results to the cross-corpus matrix: who learned from which corpora, tested on each.

A recipe belongs in it if it was tested on a corpus that it never learned from, or if it equals
such a recipe in all knobs but those that say which recordings: then it is the diagonal.
"""

from collections.abc import Sequence

import pandas as pd

from affekt.evaluation.enrolment import flagships
from affekt.evaluation.intervals import mean_uar_interval
from affekt.evaluation.results import Result
from affekt.evaluation.summary import protocol, tested_corpora, trained_corpora

#: Knobs that say which recordings are learned from and tested, and nothing about the method.
RECORDINGS = (
    "name",
    "seed",
    "corpus",
    "source",
    "partial",
    "protocol",
    "folds",
    "held_out",
    "validation",
)
UNHEARD = ("leave-one-corpus-out", "cross-corpus")
COLUMNS = ("recipe", "train", "test", "protocol", "seeds", "profile", "uar", "low", "high")


def crossings(results: Sequence[Result]) -> pd.DataFrame:
    """The cross-corpus matrix, a row for each of its cells and profiles.

    Args:
        results: recipes with the same labels, whatever they were trained and tested on.

    Returns:
        Rows of ``COLUMNS``, sorted by ``train``; ``train`` and ``test`` name corpora as
        ``emovo+ravdess``, each ``test`` a single one whose folds are all done. No rows if every
        corpus that was tested was learned from as well.
    """
    parts = [part for result in results for part in result.by_corpus if part.complete]
    methods = [_method(part) for part in parts if protocol(part) in UNHEARD]
    rows = []
    for part in parts:
        if _method(part) not in methods:
            continue
        for profile in flagships(part):
            uar = part.under(profile).uar
            row: dict[str, object] = {"recipe": part.recipe, "train": trained_corpora(part)}
            row |= {"test": tested_corpora(part), "protocol": protocol(part)}
            row |= {"seeds": len(part.runs), "profile": profile}
            rows.append({**row, "uar": uar.value, "low": uar.low, "high": uar.high})
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.sort_values(["train", "test", "recipe"], kind="stable", ignore_index=True)


def unheard_means(results: Sequence[Result]) -> pd.DataFrame:
    """Mean UAR over the corpora that a recipe tested and never learned from.

    Args:
        results: recipes with the same labels.

    Returns:
        For each finished recipe that tested several such corpora, and each profile shown:
        ``recipe``, ``test``, ``seeds``, ``profile``, ``uar``, ``low``, ``high``; every corpus
        weighs the same.
    """
    rows = []
    for result in results:
        parts = result.by_corpus
        if len(parts) == 1 or not result.complete or protocol(result) not in UNHEARD:
            continue
        for profile in flagships(result):
            uar = mean_uar_interval([part.under(profile).tally for part in parts])
            row: dict[str, object] = {"recipe": result.recipe, "test": tested_corpora(result)}
            row |= {"seeds": len(result.runs), "profile": profile}
            rows.append({**row, "uar": uar.value, "low": uar.low, "high": uar.high})
    columns = [name for name in COLUMNS if name not in ("train", "protocol")]
    return pd.DataFrame(rows, columns=columns)


def _method(result: Result) -> dict[str, object]:
    knobs = result.runs[0].knobs
    return {name: value for name, value in knobs.items() if name not in RECORDINGS}
