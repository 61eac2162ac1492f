"""Results to ``results/summary.csv``: one line for each claimed row, made and never typed.

What a row says of corpora and protocol is read from who was trained on and who was tested, not
from a recipe's words. A recipe has a row for each profile that it was tested under; one that
tested several corpora has those rows for each of them, and for their mean, in which every
corpus weighs the same.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from affekt.errors import RunError
from affekt.evaluation.intervals import Interval, mean_uar_interval
from affekt.evaluation.results import NO_PROFILE, Result, collect, corpus_of
from affekt.evaluation.runs import find_runs, read_run

COLUMNS = (
    "recipe",
    "train",
    "test",
    "protocol",
    "profile",
    "classes",
    "seeds",
    "uar",
    "low",
    "high",
    "paper",
    "command",
)


def summarize(results: Sequence[Result]) -> pd.DataFrame:
    """A row for each recipe, corpus tested, and profile.

    Args:
        results: complete ones.

    Returns:
        ``COLUMNS`` as text: scores with six digits, ``paper`` empty where it reports nothing.

    Raises:
        RunError: a result with a fold missing.
    """
    unfinished = [result.recipe for result in results if not result.complete]
    if unfinished:
        raise RunError(
            f"results to summarize must have every fold. Got unfinished {', '.join(unfinished)}. "
            f"Run them again to finish them."
        )
    rows = [row for result in results for row in _rows(result)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def write_summary(runs: Iterable[Path], path: Path) -> None:
    """Write ``summary.csv``: the complete runs, as an unfinished one has no score yet.

    Args:
        runs: run folders, or folders that hold some.
        path: the file.

    Raises:
        RunError: a broken run, or a file that cannot be written.
        LabelError: predictions that do not fit their labels.
    """
    results = collect(read_run(folder) for folder in find_runs(runs))
    table = summarize([result for result in results if result.complete])
    try:
        table.to_csv(path, index=False, lineterminator="\n")
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}.") from error


def trained_corpora(result: Result) -> str:
    """Corpora that a result learned from, such as ``emovo+ravdess``."""
    parts = result.runs[0].parts
    return _corpora(parts.loc[parts["part"] == "train", "speaker"])


def tested_corpora(result: Result) -> str:
    """Corpora that a result was tested on."""
    return _corpora(result.tally.speakers)


def protocol(result: Result) -> str:
    """How speakers were held out: with their corpus, one by one, in folds, or once."""
    run = result.runs[0]
    tested = run.parts["part"] == "test"
    corpora = run.parts["speaker"].map(corpus_of)
    pairs = [set(zip(run.parts["fold"][of], corpora[of], strict=True)) for of in (tested, ~tested)]
    if not set.intersection(*pairs):
        sources = trained_corpora(result).count("+") + 1
        return "leave-one-corpus-out" if run.planned > 1 or sources > 1 else "cross-corpus"
    if run.planned == 1:
        return "held-out"
    one_by_one = run.parts["speaker"][tested].nunique() == run.planned
    return "leave-one-speaker-out" if one_by_one else f"{run.planned} speaker-folds"


def _rows(result: Result) -> list[dict[str, object]]:
    how = protocol(result)  # of the whole: a part alone seems to have fewer folds
    rows = [
        _row(part, how, profile, part.under(profile).uar)
        for part in result.by_corpus
        for profile in result.profiles
    ]
    if len(result.by_corpus) > 1:
        for profile in result.profiles:
            parts = [part.under(profile).tally for part in result.by_corpus]
            rows.append(_row(result, how, profile, mean_uar_interval(parts)))
    return rows


def _row(result: Result, how: str, profile: str, uar: Interval) -> dict[str, object]:
    published = result.published if profile == NO_PROFILE else None
    return {
        "recipe": result.recipe,
        "train": trained_corpora(result),
        "test": tested_corpora(result),
        "protocol": how,
        "profile": profile,
        "classes": len(result.tally.labels),
        "seeds": " ".join(str(run.seed) for run in result.runs),
        "uar": f"{uar.value:.6f}",
        "low": f"{uar.low:.6f}",
        "high": f"{uar.high:.6f}",
        "paper": f"{published.uar:.3f}" if published else "",
        "command": result.command,
    }


def _corpora(speakers: Iterable[str]) -> str:
    return "+".join(sorted(set(map(corpus_of, speakers))))
