"""Write the report of experiments: one HTML page, and its figures and tables as files.

The page needs no network and no script. All values are computed from ``predictions.csv`` and the
files beside it; no model is loaded.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from affekt.atomic_write import atomic_text
from affekt.errors import RunError, writing
from affekt.evaluation.ablation import IDENTITY
from affekt.evaluation.cross_corpus import UNSEEN, cross_corpus_matrix, unseen_means
from affekt.evaluation.results import Result
from affekt.evaluation.tables import column_of
from affekt.html_templates import html_templates
from affekt.report import figures
from affekt.report.figures import ExampleClip
from affekt.report.names import corpus_name, enrolment_name, method_name, parts_told_apart
from affekt.report.sections import Files, section
from affekt.runs.folder import parts_of

Groups = dict[tuple[str, ...], list[Result]]
Clips = Callable[[str], Sequence[ExampleClip]]
Progress = Callable[[Sequence[Any]], Iterable[Any]]
RECIPE = "# Written by affekt report.\n"  # begins each recipe


def build_report(
    results: Sequence[Result],
    output: Path,
    *,
    clips: Clips | None = None,
    progress: Progress = iter,
) -> Path:
    """Write the report of some recipes.

    Args:
        results: the recipes, as :func:`affekt.evaluation.results.collect` returns them.
        output: folder for the page, its figures (SVG) and tables (CSV), and recipes that are not
            shipped (TOML), except those that the user wrote there; created if missing.
        clips: returns the example clips for the name of a corpus; None leaves their figure out.
        progress: iterates over the parts of the page, and may show how far it is.

    Returns:
        The page, ``output/index.html``.

    Raises:
        RunError: no result, or a folder that cannot be written.
    """
    if not results:
        raise RunError("report needs at least one run. Got none. Run a recipe first.")
    page, recipes = output / "index.html", _own_recipes(results)
    environment = html_templates()
    environment.filters |= {"score": _score, "p": _p, "column": column_of}
    environment.filters |= {"corpus": corpus_name, "enrolment": enrolment_name}
    environment.filters["url"] = partial(quote, safe="+=,")
    with writing(output, RunError, "Name another folder."):
        output.mkdir(parents=True, exist_ok=True)
        texts = {name: text for name, text in recipes.items() if not _is_users(output / name)}
        matrices = _matrices(results, texts, progress)
        sections = _sections(results, texts, clips, progress)
        template = environment.get_template("report/page.html.jinja")
        text = template.render(sections=sections, matrices=matrices, recipes=recipes)
        with ThreadPoolExecutor() as disk:  # which is slow
            list(disk.map(lambda name: atomic_text(output / name, texts[name]), texts))
        atomic_text(page, text)  # last: all files that it names are there
    return page


def _own_recipes(results: Sequence[Result]) -> dict[str, str]:
    """Files of recipes that are not shipped: each knob that no command on the page sets."""
    found: dict[str, dict[str, Any]] = {}
    for result in results:
        name, *changes = parts_of(result.recipe)
        if name.endswith(".toml"):
            given = {*IDENTITY, *(change.partition("=")[0] for change in changes)}
            knobs = {knob: value for knob, value in result.knobs.items() if knob not in given}
            found[name] = knobs | found.get(name, {})
    return {
        name: RECIPE + "".join(f"{k} = {json.dumps(knobs[k], ensure_ascii=False)}\n" for k in knobs)
        for name, knobs in found.items()
    }


def _is_users(recipe: Path) -> bool:
    """Whether the user wrote a recipe, and reports into the folder of their recipes."""
    return recipe.exists() and not recipe.read_text("utf-8", "replace").startswith(RECIPE)


def _sections(
    results: Sequence[Result], texts: dict[str, str], clips: Clips | None, progress: Progress
) -> list[dict[str, Any]]:
    groups = _groups(results)
    names = [
        "-".join([*dict.fromkeys([train, corpus]), *how.split()])
        for (corpus, how, train, *_), _ in groups
    ]
    parts = parts_told_apart(names, [labels for (_, _, _, *labels), _ in groups])
    return [
        section(group, how, Files(name, texts), clips(corpus) if clips else ()) | {"task": task}
        for ((corpus, how, *_), group), (name, task) in progress([*zip(groups, parts, strict=True)])
    ]


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


def _matrices(
    results: Sequence[Result], texts: dict[str, str], progress: Progress
) -> list[dict[str, Any]]:
    """The cross-corpus matrices, one for each method and set of labels that has one."""
    groups: Groups = {}
    for result in results:
        groups.setdefault((method_name(result.knobs), *result.tally.labels), []).append(result)
    names = ["-".join(["cross-corpus", *x[0].lower().replace(",", "").split()]) for x in groups]
    parts = parts_told_apart(names, [labels for _, *labels in groups])
    found = []
    for ((method, *_), group), (name, task) in progress([*zip(groups.items(), parts, strict=True)]):
        if len(table := cross_corpus_matrix(group)):
            matrix = _matrix(group, table, Files(name, texts))
            found.append(matrix | {"method": method, "task": task})
    return found


def _matrix(results: Sequence[Result], table: pd.DataFrame, files: Files) -> dict[str, Any]:
    """The cross-corpus matrix of recipes with one method and labels."""
    files.table("matrix", table)
    inside = [result for result in results if result.recipe in set(table["recipe"])]
    tested = (result for result in results if result.complete and result.protocol in UNSEEN)
    means = unseen_means(inside)
    if len(means):
        files.table("means", means)
    profiles = list(dict.fromkeys(table["profile"]))
    names = {name: corpus_name(name) for name in [*table["train"], *table["test"]]}
    names |= {profile: enrolment_name(profile) for profile in profiles}
    return {
        "name": files.name,
        "picture": files.picture("matrix", figures.cross_corpus(table, names)),
        "cells": _by_profile(files.tables["matrix"], ("recipe", "train", "test")),
        "profiles": profiles,
        "means": _by_profile(files.tables.get("means", []), ("recipe",)),
        "commands": [result.command for result in inside],
        "left_out": [result.recipe for result in tested if result not in inside],
        "labels": results[0].tally.labels,
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
