"""Write ``results/summary.csv``: the score of each recipe, enrolment condition and tested corpus.

Corpora and protocol are derived from the speakers that were trained on and tested, not from the
recipe. A recipe tested on several corpora also has rows for their mean, in which every corpus has
the same weight. The columns ``low`` and ``high`` hold the 95 % interval over speakers. With fewer
than 8 speakers, they hold the range over speakers, and nothing for a mean over corpora.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from affekt.atomic_write import atomic_text
from affekt.errors import RunError, writing
from affekt.evaluation.intervals import Interval, shown_mean_uar
from affekt.evaluation.results import NO_PROFILE, Result

FACTS = ("recipe", "train", "test", "protocol", "profile", "classes", "seeds")
COLUMNS = (*FACTS, "uar", "low", "high", "paper", "command")


def summarize(results: Iterable[Result]) -> pd.DataFrame:
    """Score each complete result on each corpus that it tested, under each enrolment condition.

    Returns:
        A row of ``COLUMNS`` for each, as text: scores with six digits; ``paper`` is empty where
        the paper reports no value.
    """
    rows = [row for result in results if result.complete for row in _rows(result)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def write_summary(results: Iterable[Result], path: Path) -> None:
    """Write the rows of :func:`summarize` as a CSV file; raise a RunError if that fails."""
    with writing(path, RunError):
        atomic_text(path, summarize(results).to_csv(index=False, lineterminator="\n"))


def _rows(result: Result) -> list[dict[str, object]]:
    how = result.protocol  # of the whole run: the part of one corpus may have fewer folds
    rows = [
        _row(part, how, profile, part.under(profile).uar)
        for part in result.by_corpus
        for profile in result.profiles
    ]
    if len(result.by_corpus) > 1:
        for profile in result.profiles:
            parts = [part.under(profile).tally for part in result.by_corpus]
            rows.append(_row(result, how, profile, shown_mean_uar(parts)))
    return rows


def _row(result: Result, how: str, profile: str, uar: Interval) -> dict[str, object]:
    published = result.published if profile == NO_PROFILE else None
    return {
        "recipe": result.recipe,
        "train": result.trained,
        "test": result.tested,
        "protocol": how,
        "profile": profile,
        "classes": len(result.tally.labels),
        "seeds": result.seeds,
        "uar": f"{uar.value:.6f}",
        "low": f"{uar.low:.6f}",
        "high": f"{uar.high:.6f}",
        "paper": f"{published.uar:.3f}" if published else "",
        "command": result.command,
    }
