"""Recipes of a group to what each ingredient is worth: a recipe beside its variants.

A variant is named after its recipe: ``ravdess-yamnet-lstm-frozen`` is one of
``ravdess-yamnet-lstm``. What a variant changes is read from both recipes' knobs.
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import pandas as pd

from affekt.evaluation.enrolment import flagships
from affekt.evaluation.intervals import compare
from affekt.evaluation.results import Result

APART = {"name", "seed"}  # knobs in which a variant always differs
COLUMNS = (
    "recipe",
    "changes",
    "profile",
    "seeds",
    "uar",
    "low",
    "high",
    "difference",
    "difference_low",
    "difference_high",
    "p",
)


def groups(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Recipes with their variants.

    Args:
        results: recipes of the same recordings and protocol.

    Returns:
        For each recipe that has variants among the results: itself, then they.
    """
    found: dict[str, list[Result]] = {}
    by_name = {result.recipe: result for result in results}
    for name in sorted(by_name):
        full = next((full for full in found if name.startswith(f"{full}-")), name)
        found.setdefault(full, []).append(by_name[name])
    return {full: group for full, group in found.items() if len(group) > 1}


def is_variant(result: Result, results: Sequence[Result]) -> bool:
    """Whether a recipe is named after another one of the results."""
    return any(result.recipe.startswith(f"{other.recipe}-") for other in results)


def ablation(group: Sequence[Result]) -> pd.DataFrame:
    """How much better or worse each variant is than the full recipe.

    Seeds that one of both lacks are left out, and so are variants that answered other clips or
    are not finished: what remains differs in the ingredient alone.

    Args:
        group: the full recipe, then its variants, as :func:`groups` gives them.

    Returns:
        Rows of ``COLUMNS``: the full recipe under each profile that is shown, then its
        variants under it, the most harmful first. ``changes`` are the knobs that differ, as in
        a recipe's file; ``difference`` in UAR is the variant's less the full recipe's over the
        same ``seeds``, paired by speaker, with its interval and p value.
    """
    full, *variants = group
    rows: list[dict[str, object]] = []
    for profile in flagships(full):
        rows.append(_row(full, profile, ""))
        found = [_compared(full, variant, profile) for variant in variants]
        rows += sorted(chain.from_iterable(found), key=lambda row: float(str(row["difference"])))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _compared(full: Result, variant: Result, profile: str) -> list[dict[str, object]]:
    """The variant's row, if it can be compared under this profile."""
    seeds = {run.seed for run in full.runs} & {run.seed for run in variant.runs}
    one, other = full.with_seeds(seeds), variant.with_seeds(seeds)
    if not (
        seeds
        and one.complete
        and other.complete
        and profile in other.profiles
        and not np.isnan(one.uar.value)
        and set(one.predictions["file"]) == set(other.predictions["file"])
    ):
        return []
    found = compare(other.under(profile).tally, one.under(profile).tally)
    difference = found.difference
    row = _row(other, profile, _changes(full, variant))
    row |= {"difference": difference.value, "p": found.p}
    return [row | {"difference_low": difference.low, "difference_high": difference.high}]


def _row(result: Result, profile: str, changes: str) -> dict[str, object]:
    uar = result.under(profile).uar
    seeds = " ".join(str(run.seed) for run in result.runs)
    row: dict[str, object] = {"recipe": result.recipe, "changes": changes, "profile": profile}
    row |= {"seeds": seeds}
    return row | {"uar": uar.value, "low": uar.low, "high": uar.high}


def _changes(full: Result, variant: Result) -> str:
    before, after = full.runs[0].knobs, variant.runs[0].knobs
    names = [name for name in after if name not in APART and after[name] != before.get(name)]
    return ", ".join(f"{name} = {_toml(after[name])}" for name in names)


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
