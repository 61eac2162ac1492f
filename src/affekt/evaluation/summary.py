"""Results to ``results/summary.csv``: one line for each claimed row, made and never typed.

What a row says of corpora and protocol is read from who was trained on and who was tested, not
from a recipe's words.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from affekt.errors import RunError
from affekt.evaluation.results import Result, collect
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
    """A row for each recipe.

    Args:
        results: complete ones.

    Returns:
        ``COLUMNS`` as text: scores with four digits, ``paper`` empty where it reports nothing.

    Raises:
        RunError: a result with a fold missing.
    """
    unfinished = [result.recipe for result in results if not result.complete]
    if unfinished:
        raise RunError(
            f"results to summarize must have every fold. Got unfinished {', '.join(unfinished)}. "
            f"Run them again to finish them."
        )
    return pd.DataFrame([_row(result) for result in results], columns=list(COLUMNS))


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
    """How speakers were held out: one by one, in folds, or once."""
    run = result.runs[0]
    if run.planned == 1:
        return "held-out"
    tested = run.parts.loc[run.parts["part"] == "test", "speaker"].nunique()
    one_by_one = tested == run.planned
    return "leave-one-speaker-out" if one_by_one else f"{run.planned} speaker-folds"


def _row(result: Result) -> dict[str, object]:
    published = result.published
    return {
        "recipe": result.recipe,
        "train": trained_corpora(result),
        "test": tested_corpora(result),
        "protocol": protocol(result),
        "profile": result.runs[0].knobs.get("profile", "none"),
        "classes": len(result.tally.labels),
        "seeds": " ".join(str(run.seed) for run in result.runs),
        "uar": f"{result.uar.value:.4f}",
        "low": f"{result.uar.low:.4f}",
        "high": f"{result.uar.high:.4f}",
        "paper": f"{published.uar:.3f}" if published else "",
        "command": result.command,
    }


def _corpora(speakers: Iterable[str]) -> str:
    return "+".join(sorted({speaker.partition(":")[0] for speaker in speakers}))
