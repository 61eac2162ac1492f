"""Run folders to one page that stands beside a paper, and its pictures and tables as files.

The page holds everything itself: no network, no script. What it claims is computed here from
``predictions.csv`` and its sisters; no model is loaded and no sound is needed.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from affekt.errors import RunError
from affekt.report.comparison_charts import crossing
from affekt.evaluation.cross_corpus import UNHEARD, crossings, unheard_means
from affekt.report.figures import Voice
from affekt.evaluation.results import NO_PROFILE, Result, collect
from affekt.evaluation.runs import find_runs, read_run
from affekt.report.sections import Desk, section
from affekt.evaluation.summary import protocol, tested_corpora, trained_corpora

TITLES = {"demos": "DEMoS", "nemo": "nEMO", "emodb": "EMO-DB", "cremad": "CREMA-D"}


def no_voices(_: str) -> Sequence[Voice]:
    """Leave Figure 2 out."""
    return ()


def build_report(
    runs: Iterable[Path], output: Path, *, voices: Callable[[str], Sequence[Voice]] = no_voices
) -> Path:
    """Make the page of everything that was measured so far.

    Args:
        runs: run folders, or folders that hold some, of either form.
        output: folder for the page, its PNG pictures and its CSV tables; made if missing.
        voices: gives, for the name of a corpus, the clips of Figure 2, which is left out if
            there are none.

    Returns:
        The page, ``output/index.html``.

    Raises:
        RunError: nothing to report, a broken run, or a folder that cannot be written.
        LabelError: predictions that do not fit their labels.
    """
    results = collect(read_run(folder) for folder in find_runs(runs))
    if not results:
        raise RunError("report must be given a run or more. Got none. Run a recipe first.")
    try:
        output.mkdir(parents=True, exist_ok=True)
        return _write(results, output, voices)
    except OSError as error:
        raise RunError(f"{output}: cannot be written: {error.strerror}.") from error


def _write(
    results: Sequence[Result], output: Path, voices: Callable[[str], Sequence[Voice]]
) -> Path:
    groups: dict[tuple[str, ...], list[Result]] = {}
    by_labels: dict[tuple[str, ...], list[Result]] = {}
    for result in results:
        by_labels.setdefault(result.tally.labels, []).append(result)
        for part in result.by_corpus:
            how = protocol(part)
            if how not in UNHEARD:
                how = protocol(result)  # a part alone seems to have fewer folds
            task = (tested_corpora(part), how, trained_corpora(part))
            groups.setdefault((*task, *part.tally.labels), []).append(part)
    matrices = [_matrix(group, output) for group in by_labels.values()]
    papers_first = sorted(
        groups.items(), key=lambda item: not any(result.published for result in item[1])
    )
    sections = [
        section(group, how, output, voices(corpus))
        for (corpus, how, *_), group in papers_first
        if how != "cross-corpus"  # of one corpus alone: cells of the matrix, and no more
    ]
    environment = Environment(
        loader=PackageLoader("affekt.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"score": _score, "title": _title, "p": _p, "profile": _profile}
    page = output / "index.html"
    text = environment.get_template("page.html.jinja").render(
        sections=sections, matrices=[matrix for matrix in matrices if matrix]
    )
    page.write_text(text, encoding="utf-8")
    return page


def _matrix(results: Sequence[Result], output: Path) -> dict[str, Any]:
    """The cross-corpus matrix of recipes with the same labels; empty if there is none."""
    table = crossings(results)
    if table.empty:
        return {}
    labels = results[0].tally.labels
    desk = Desk(output, f"cross-corpus-{len(labels)}")
    desk.table("matrix", table)
    desk.table("means", unheard_means(results))
    names = {name: _title(name) for name in [*table["train"], *table["test"]]}
    names |= {profile: _profile(profile) for profile in table["profile"]}
    return {
        "picture": desk.picture("matrix", crossing(table, names)),
        "cells": _by_profile(desk.tables["matrix"], ("recipe", "train", "test")),
        "profiles": list(dict.fromkeys(table["profile"])),
        "means": _by_profile(desk.tables["means"], ("recipe",)),
        "commands": {
            result.recipe: result.command
            for result in results
            if result.recipe in set(table["recipe"])
        },
        "labels": labels,
    }


def _by_profile(rows: list[dict[str, Any]], same: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rows that differ in their profile alone, put together: the first as ``row``, each by name."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in same), {"row": row})[row["profile"]] = row
    return list(found.values())


def _score(value: float, digits: int = 3) -> str:
    """A number for a table; a dash where there is none."""
    if np.isnan(value):
        return "–"
    rounded = round(value, digits) + 0.0  # no −0.000
    return f"{rounded:.{digits}f}".replace("-", "−")


def _title(corpus: str) -> str:
    return " + ".join(TITLES.get(name, name.upper()) for name in corpus.split("+"))


def _profile(name: str) -> str:
    """A profile in words.

    >>> [_profile(name) for name in ("none", "random-1", "all", "sad-4", "adaptive")]
    ['no profile', '1 clip', 'all clips', '4 clips, sad', 'adaptive']
    """
    fixed = {NO_PROFILE: "no profile", "all": "all clips"}
    kind, _, clips = name.rpartition("-")
    if name in fixed or not kind:
        return fixed.get(name, name)
    words = f"{clips} clip" if clips == "1" else f"{clips} clips"
    return words if kind == "random" else f"{words}, {kind}"


def _p(value: float) -> str:
    if np.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
