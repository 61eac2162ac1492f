"""All knobs of a recipe to a table, for the command line's help and for the documentation."""

import json
from dataclasses import fields

from affekt.experiments.recipe import Recipe

KNOB_COLUMNS = ("knob", "default", "unit", "meaning", "source")


def knobs() -> list[tuple[str, str, str, str, str]]:
    """A row of ``KNOB_COLUMNS`` for each knob: its default as TOML, its meaning with its range."""
    rows = []
    for knob in fields(Recipe):
        if knob.name != "name":
            meta = knob.metadata
            words = [meta["meaning"]]
            if meta["allowed"]:
                words.append(f"one of {', '.join(meta['allowed'])}")
            if meta["low"] is not None:
                words.append(f"{meta['low']} to {meta['high']}")
            default = json.dumps(knob.default)
            rows.append((knob.name, default, meta["unit"], "; ".join(words), meta["source"]))
    return rows


def knobs_markdown() -> str:
    """The same as a table in Markdown, for the documentation.

    >>> print(knobs_markdown().splitlines()[10])
    | `seed` | `0` |  | of folds, weights and batches; 0 to 2147483647 |  |
    """
    lines = [f"| {' | '.join(KNOB_COLUMNS)} |", f"|{' --- |' * len(KNOB_COLUMNS)}"]
    for name, default, *rest in knobs():
        lines.append(f"| `{name}` | `{default}` | {' | '.join(rest)} |")
    return "\n".join(lines) + "\n"
