"""Implement ``affekt recipe``: print the knobs of a recipe."""

import json
from typing import Annotated

from affekt.commands.options import Changes, argument, flag


def recipe(
    name: Annotated[
        str | None, argument("[RECIPE]", "Recipe file, or name of a shipped recipe.")
    ] = None,
    changes: Changes = None,
    as_json: Annotated[bool, flag("--json", "Print the values as JSON.")] = False,
) -> None:
    """Print every setting (knob) of a recipe with its value, meaning and source.

    A recipe has the settings of one experiment. By default, those of the paper are printed.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from affekt.experiments.recipe import Recipe, knob_table
    from affekt.experiments.recipe_files import read_recipe

    shown = read_recipe(name, changes or ()) if name else Recipe("defaults")
    values = shown.values()
    if as_json:
        print(json.dumps({**values, "digest": shown.digest}))
        return
    table = Table("knob", "value", "meaning", box=box.SIMPLE, title=shown.run)
    table.columns[1].overflow = "fold"  # never cut a value
    for knob, default, unit, meaning, source in knob_table():
        value = json.dumps(values[knob])
        changed = value != default
        notes = [unit and f"in {unit}", f"default {default}" if changed else "", source]
        text = "; ".join([meaning, *filter(None, notes)])
        table.add_row(knob, value, text, style="bold" if changed else "")
    Console(markup=False).print(table)
