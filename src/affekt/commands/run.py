"""The command ``run``: a recipe to finished folds, by one library call."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from affekt.commands.printing import complain


class WithKnobs(TyperCommand):
    """A command whose help ends with every knob of a recipe."""

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Write the usual help, then the knobs."""
        super().format_help(ctx, formatter)
        knob_table()


def knob_table() -> None:
    """Print every knob of a recipe."""
    from rich.console import Console
    from rich.table import Table

    from affekt.experiments.knobs import KNOB_COLUMNS, knobs

    lines = Table(title="Knobs of a recipe", title_justify="left", box=None, pad_edge=False)
    for name in KNOB_COLUMNS:
        lines.add_column(name, no_wrap=name != "meaning", overflow="fold")
    for row in knobs():
        lines.add_row(*row)
    console = Console(highlight=False, markup=False)
    console.print(lines)
    console.print("\npaper: Sharan, Mascolo & Schuller, the sections that fix the value")


def run(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="What to run.")],
    folds: Annotated[str, typer.Option(metavar="1,5", help="Folds to run. (Default: all.)")] = "",
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Folds at a time. (Default: one a core.)")
    ] = None,
    engine: Annotated[
        str, typer.Option(metavar="local|ray", help="Processes here, or a Ray cluster.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="The Ray cluster's. (Default: the one on this machine.)")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The corpus, or your manifest. (Default: in $AFFEKT_DATA.)")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder that takes run folders.")] = Path("runs"),
    weights: Annotated[
        Path | None, typer.Option(help="YAMNet's weights. (Default: see affekt weights.)")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="In place of the recipe's.")] = None,
    kept: Annotated[
        Path | None, typer.Option(help="Kept results, to take finished folds of the recipe from.")
    ] = None,
) -> int:
    """Train and test every fold of a recipe that is not done.

    Killed at any instant, it goes on when it is run again.
    What is computed from recordings is kept in $AFFEKT_CACHE, or the user's cache.
    The exit code is 1 if some fold failed; the others are done.
    """
    from affekt.engines import engine_named
    from affekt.experiments.recipe import read_recipe
    from affekt.experiments.run_folder import usual_places
    from affekt.experiments.runner import run as run_recipe

    wanted = read_recipe(recipe)
    wanted = wanted if seed is None else wanted.with_(seed=seed)
    places = usual_places(wanted, data=data, runs=runs, weights=weights)
    where = engine_named(engine, address)
    failures = run_recipe(wanted, places, folds=_numbers(folds), kept=kept, jobs=jobs, engine=where)
    for failure in failures:
        complain(failure)
    print(places.runs / wanted.run)
    return 1 if failures else 0


def _numbers(folds: str) -> set[int] | None:
    if not re.fullmatch(r"\d{1,6}(,\d{1,6})*|", folds):
        raise typer.BadParameter(f"--folds must read like 1,5. Got {folds!r}.")
    return {int(number) for number in folds.split(",")} if folds else None
