"""Read recipes from TOML files, with their base and with changes from the command line."""

import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from affekt.aliases import from_stored
from affekt.errors import RecipeError
from affekt.experiments.recipe import Recipe, refuse_unknown
from affekt.runs.folder import variant_name
from affekt.shipped_folders import shipped_folder

BASE = "base"  # key that names the recipe that a file starts from


def read_recipe(path: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe file.

    Args:
        path: TOML with knobs that differ from the defaults, or from the recipe that ``base``
            names: a file beside it or a shipped recipe, without a base itself. Or the name of a
            file, without its suffix, in the folder ``recipes`` or among the shipped recipes.
        changes: further knobs as ``name=value``, the value as in TOML; quotes may be left out.

    Returns:
        The recipe, named as the file. Changed knobs follow the name, such as
        ``ingredients-head=mean``, so that the run is archived as a variant of the recipe.

    Raises:
        RecipeError: no such file, not TOML, an unknown knob, or a bad value.
    """
    path = Path(path)
    if path.suffix != ".toml" and path.name == str(path) and not path.is_file():
        own = Path("recipes", f"{path}.toml")
        path = own if own.is_file() else _shipped(path.name)
    knobs = _read_toml(path)
    if BASE in knobs:
        name = knobs.pop(BASE)
        if not isinstance(name, str) or Path(name).name != name:
            raise RecipeError(
                f"base of {path} must be the name of a recipe, without folder. Got {name!r}. "
                f'Write base = "affekt".'
            )
        beside = path.with_name(f"{name}.toml")
        inherited = _read_toml(beside if beside.is_file() else _shipped(name))
        if BASE in inherited:
            raise RecipeError(
                f"base of {path} must be a recipe without a base. Got {name}. Name its base."
            )
        knobs = inherited | knobs
    changed = from_stored(dict(_parsed(change) for change in changes))
    knobs |= changed
    refuse_unknown(knobs, path)
    return Recipe(name=variant_name(path.stem, changed), **knobs)


def _shipped(name: str) -> Path:
    folder = shipped_folder("recipes")
    path = folder / f"{name}.toml"
    if not path.is_file():
        names = sorted(each.stem for each in folder.glob("*.toml"))
        close = get_close_matches(name, names, n=3, cutoff=0.5)
        raise RecipeError(
            f"a recipe must be a file, such as {name}.toml, or the name of a shipped one, "
            f"{'such as ' + ', '.join(close or names[:3])}. Got {name}. Name one of {folder}."
        )
    return path


def _parsed(change: str) -> tuple[str, Any]:
    """Name and value of a knob on the command line."""
    name, equals, text = change.partition("=")
    if not equals:
        raise RecipeError(f"a knob must be set as name=value. Got {change!r}. Try epochs=3.")
    try:
        return name.strip(), tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # a word without quotes
        return name.strip(), text.strip()


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return from_stored(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise RecipeError(
            f"{path} must be a recipe file. Got {error.strerror}. See the folder recipes/."
        ) from error
    except (ValueError, RecursionError) as error:  # bad TOML, bad UTF-8, too many digits
        raise RecipeError(f"{path} must be TOML. Got a fault: {error}. Correct it.") from error
