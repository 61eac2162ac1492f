"""Build the cross-corpus matrix: UAR by training corpora and test corpus.

A recipe is in the matrix if it was tested on a corpus that it was not trained on, or if it equals
such a recipe in all knobs but those that choose the recordings: then its cell is on the diagonal.
"""

from collections.abc import Sequence

import pandas as pd

from affekt.evaluation.intervals import Interval, shown_mean_uar
from affekt.evaluation.results import Result
from affekt.evaluation.tables import main_profiles

#: Knobs that choose the recordings to train on and to test, and not the method.
RECORDINGS = {"name", "seed", "corpus", "source", "partial", "protocol", "folds", "held_out"}
RECORDINGS |= {"validation"}
UNSEEN = ("leave-one-corpus-out", "cross-corpus")  # protocols that test unseen corpora


def cross_corpus_matrix(results: Sequence[Result]) -> pd.DataFrame:
    """Score each pair of training corpora and test corpus under the main enrolment conditions.

    All recipes must have the same labels. Where several were trained and tested on the same
    corpora, the one with the shortest name is in the matrix: the others are its variants.

    Returns:
        ``recipe``, ``protocol``, ``train``, ``test``, ``seeds``, ``profile``, ``spread``,
        ``uar``, ``low``, ``high``, sorted by ``train``, which names corpora as
        ``emovo+ravdess``; ``test`` is a single corpus with all folds done. Empty if no recipe
        was tested on a corpus that it was not trained on.
    """
    parts = [part for result in results for part in result.by_corpus if part.complete]
    methods = [_method(part) for part in parts if part.protocol in UNSEEN]
    cells: dict[tuple[str, str], Result] = {}
    for part in sorted(parts, key=lambda part: (len(part.recipe), part.recipe)):
        if _method(part) in methods:
            cells.setdefault((part.trained, part.tested), part)
    rows = []
    for _, part in sorted(cells.items(), key=lambda cell: cell[0]):
        rows += [_row(part, profile, part.under(profile).uar) for profile in main_profiles(part)]
    return pd.DataFrame(rows)


def unseen_means(results: Sequence[Result]) -> pd.DataFrame:
    """Compute the mean UAR over the unseen corpora of each recipe that tested several.

    Returns:
        A row for each finished recipe and main enrolment condition, with the columns of
        :func:`cross_corpus_matrix`; every tested corpus has the same weight. May be empty.
    """
    rows = []
    for result in results:
        parts = result.by_corpus
        if len(parts) == 1 or not result.complete or result.protocol not in UNSEEN:
            continue
        for profile in main_profiles(result):
            tallies = [part.under(profile).tally for part in parts]
            rows.append(_row(result, profile, shown_mean_uar(tallies)))
    return pd.DataFrame(rows)


def _row(result: Result, profile: str, uar: Interval) -> dict[str, object]:
    row: dict[str, object] = {"recipe": result.recipe, "protocol": result.protocol}
    row |= {"train": result.trained, "test": result.tested}
    row |= {"seeds": len(result.runs), "profile": profile, "spread": uar.kind}
    return row | uar.columns()


def _method(result: Result) -> dict[str, object]:
    return {name: value for name, value in result.knobs.items() if name not in RECORDINGS}
