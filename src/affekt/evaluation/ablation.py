"""Compare recipes with their variants.

A variant is named after its recipe: ``ravdess-yamnet-lstm-frozen`` is a variant of
``ravdess-yamnet-lstm``. The knobs that it changes are read from both recipes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from affekt.evaluation.comparison import compare
from affekt.evaluation.intervals import Interval
from affekt.evaluation.results import Result
from affekt.evaluation.tables import main_profiles

IDENTITY = {"name", "seed"}  # knobs that do not belong to the method


def groups(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Group recipes of the same recordings and protocol with their variants.

    Returns:
        For each recipe that has variants among the results: the recipe, then its variants.
    """
    found: dict[str, list[Result]] = {}
    by_name = {result.recipe: result for result in results}
    for name in sorted(by_name):
        full = next((full for full in found if name.startswith(f"{full}-")), name)
        found.setdefault(full, []).append(by_name[name])
    return {full: group for full, group in found.items() if len(group) > 1}


def is_variant(result: Result, results: Sequence[Result]) -> bool:
    """Return whether a recipe is named after another one of the results."""
    return any(result.recipe.startswith(f"{other.recipe}-") for other in results)


def ablation(group: Sequence[Result]) -> pd.DataFrame:
    """Compare each variant with the full recipe, the first of a group of :func:`groups`.

    Seeds that one of both lacks are left out, and so are variants that were tested on other clips
    or are unfinished.

    Returns:
        A row for the full recipe under each main enrolment condition, and after it one for each
        variant, the lowest UAR first: ``recipe``, ``changes`` (the knobs that differ),
        ``profile``, ``seeds``, ``spread``, ``uar``, ``low``, ``high``; ``difference``, the
        variant's UAR minus that of the full recipe over the same seeds, ``difference_low``,
        ``difference_high``, and its ``p``, paired by speaker.
    """
    full, *variants = group
    rows = []
    for profile in main_profiles(full):
        rows.append(_row(full, profile, "", Interval(np.nan), np.nan))
        found = (_compared(full, variant, profile) for variant in variants)
        rows += sorted(filter(None, found), key=lambda row: row["difference"])
    return pd.DataFrame(rows)


def changed_knobs(full: Result, variant: Result) -> str:
    """List the knobs that a variant changes, such as ``hop = 7680, frozen = true``."""
    before, after = full.knobs, variant.knobs
    names = [name for name in after if name not in IDENTITY and after[name] != before.get(name)]
    return ", ".join(f"{name} = {str(after[name]).lower()}" for name in names)


def _compared(full: Result, variant: Result, profile: str) -> dict[str, Any]:
    """The variant's row; empty if it cannot be compared under this enrolment condition."""
    seeds = {run.seed for run in full.runs} & {run.seed for run in variant.runs}
    one, other = full.with_seeds(seeds), variant.with_seeds(seeds)
    if not (
        seeds
        and one.complete
        and other.complete
        and profile in other.profiles
        and not np.isnan(one.uar.value)
        and one.clips == other.clips
    ):
        return {}
    found = compare(other.under(profile).tally, one.under(profile).tally)
    return _row(other, profile, changed_knobs(full, variant), found.shown, found.p)


def _row(
    result: Result, profile: str, changes: str, difference: Interval, p: float
) -> dict[str, Any]:
    uar = result.under(profile).uar
    row: dict[str, Any] = {"recipe": result.recipe, "changes": changes, "profile": profile}
    row |= {"seeds": result.seeds, "spread": uar.kind}
    return row | uar.columns() | difference.columns("difference", "difference_") | {"p": p}
