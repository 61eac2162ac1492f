"""Write the report of experiments: one HTML page, and its figures and tables as files.

The page needs no network and no script. All values are computed from ``predictions.csv`` and the
files beside it; no model is loaded.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affekt.atomic_write import atomic_text
from affekt.errors import RunError, writing
from affekt.evaluation.cross_corpus import UNSEEN, cross_corpus_matrix, unseen_means
from affekt.evaluation.results import Result
from affekt.html_templates import html_templates
from affekt.report import figures
from affekt.report.figures import ExampleClip
from affekt.report.names import corpus_name, enrolment_name, method_name
from affekt.report.sections import Files, section

Groups = dict[tuple[str, ...], list[Result]]


def build_report(
    results: Sequence[Result],
    output: Path,
    *,
    clips: Callable[[str], Sequence[ExampleClip]] | None = None,
    progress: Callable[[Sequence[Any]], Iterable[Any]] = iter,
) -> Path:
    """Write the report of some recipes.

    Args:
        results: the recipes, as :func:`affekt.evaluation.results.collect` returns them.
        output: folder for the page, its figures (SVG) and tables (CSV); created if missing.
        clips: returns the example clips for the name of a corpus; None leaves their figure out.
        progress: iterates over the parts of the page, and may show how far it is.

    Returns:
        The page, ``output/index.html``.

    Raises:
        RunError: no result, or a folder that cannot be written.
    """
    if not results:
        raise RunError("report needs at least one run. Got none. Run a recipe first.")
    by_method: Groups = {}
    for result in results:
        task = method_name(result.knobs), *result.tally.labels
        by_method.setdefault(task, []).append(result)
    environment = html_templates()
    environment.filters |= {"score": _score, "p": _p}
    environment.filters |= {"corpus": corpus_name, "enrolment": enrolment_name}
    page = output / "index.html"
    with writing(output, RunError, "Name another folder."):
        output.mkdir(parents=True, exist_ok=True)
        matrices = [_matrix(group, method, output) for (method, *_), group in by_method.items()]
        sections = [
            section(group, how, output, clips(corpus) if clips else ())
            for (corpus, how, *_), group in progress(_groups(results))
        ]
        text = environment.get_template("report/page.html.jinja").render(
            sections=sections, matrices=[matrix for matrix in matrices if matrix]
        )
        atomic_text(page, text)
    return page


def _groups(results: Sequence[Result]) -> list[tuple[tuple[str, ...], list[Result]]]:
    """Recipes by tested corpus, protocol, training corpora and labels; the paper's first."""
    groups: Groups = {}
    for result in results:
        for part in result.by_corpus:
            how = part.protocol
            if how not in UNSEEN:
                how = result.protocol  # the part of one corpus may have fewer folds
            if how != "cross-corpus":  # which is in the cross-corpus matrix
                task = (part.tested, how, part.trained, *part.tally.labels)
                groups.setdefault(task, []).append(part)
    return sorted(groups.items(), key=lambda each: not any(r.published for r in each[1]))


def _matrix(results: Sequence[Result], method: str, output: Path) -> dict[str, Any]:
    """The cross-corpus matrix of recipes with one method and labels; empty if there is none."""
    table = cross_corpus_matrix(results)
    if table.empty:
        return {}
    labels = results[0].tally.labels
    name = "-".join(["cross-corpus", *method.lower().replace(",", "").split(), str(len(labels))])
    files = Files(output, name)
    files.table("matrix", table)
    inside = [result for result in results if result.recipe in set(table["recipe"])]
    means = unseen_means(inside)
    if len(means):
        files.table("means", means)
    profiles = list(dict.fromkeys(table["profile"]))
    names = {name: corpus_name(name) for name in [*table["train"], *table["test"]]}
    names |= {profile: enrolment_name(profile) for profile in profiles}
    return {
        "name": name,
        "method": method,
        "picture": files.picture("matrix", figures.cross_corpus(table, names)),
        "cells": _by_profile(files.tables["matrix"], ("recipe", "train", "test")),
        "profiles": profiles,
        "means": _by_profile(files.tables.get("means", []), ("recipe",)),
        "commands": [result.command for result in inside],
        "labels": labels,
    }


def _by_profile(rows: list[dict[str, Any]], same: tuple[str, ...]) -> list[dict[str, Any]]:
    """Group rows that differ in their profile only: the first as ``row``, and each by profile."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in same), {"row": row})[row["profile"]] = row
    return list(found.values())


def _score(value: float, digits: int = 3) -> str:
    """A number for a table; a dash if there is none."""
    if np.isnan(value):
        return "–"
    rounded = round(value, digits) + 0.0  # no −0.000
    return f"{rounded:.{digits}f}".replace("-", "−")


def _p(value: float) -> str:
    if np.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
