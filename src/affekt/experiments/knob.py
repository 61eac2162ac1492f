"""One knob of a recipe: what it may be, and a value held against it."""

from dataclasses import field
from typing import Any

from affekt.errors import RecipeError


def knob(
    default: Any,
    meaning: str,
    *,
    source: str = "",
    unit: str = "",
    allowed: tuple[str, ...] = (),
    low: float | None = None,
    high: float | None = None,
) -> Any:
    """A field of a recipe: its default, what it means, where it is from, what it may be."""
    return field(
        default=default,
        metadata={
            "meaning": meaning,
            "source": source,
            "unit": unit,
            "allowed": allowed,
            "low": low,
            "high": high,
        },
    )


def check(recipe: Any, name: str, meta: Any, default: Any) -> None:
    """Hold one value of a recipe against its knob; a list becomes a tuple, a whole number a float.

    Args:
        recipe: the recipe.
        name: of the knob.
        meta: as :func:`knob` made it.
        default: the knob's.

    Raises:
        RecipeError: a value of another type than the default, or outside its range.
    """
    value = getattr(recipe, name)
    if isinstance(default, float) and type(value) is int:
        value = float(value)
        object.__setattr__(recipe, name, value)
    if isinstance(default, tuple):
        fits = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
        object.__setattr__(recipe, name, tuple(value) if fits else value)
        wanted = "a list of strings"
    elif meta["allowed"]:
        fits, wanted = value in meta["allowed"], f"one of {', '.join(meta['allowed'])}"
    elif meta["low"] is not None:
        fits = type(value) is type(default) and meta["low"] <= value <= meta["high"]
        wanted = f"{type(default).__name__} in [{meta['low']}, {meta['high']}]"
    else:
        fits, wanted = type(value) is type(default), type(default).__name__
    if not fits:
        raise RecipeError(
            f"{name} of recipe {recipe.name} must be {wanted}. Got {value!r}. "
            f"Leave it out for the default, {default!r}."
        )
