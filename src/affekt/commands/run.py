"""Define the command ``run``, which trains and tests a recipe."""

import re
from pathlib import Path
from typing import Annotated

import typer

from affekt.commands.output.printing import complain


def run(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="Recipe file, or name of one in recipes/.")
    ],
    folds: Annotated[str, typer.Option(metavar="1,5", help="Folds to run. (Default: all.)")] = "",
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Folds at a time. (Default: one for each core.)")
    ] = None,
    engine: Annotated[
        str, typer.Option(metavar="local|ray", help="Run on this machine or on a Ray cluster.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="Address of the Ray cluster. (Default: this machine.)")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the corpus, or your manifest. (Default: in $AFFEKT_DATA.)"),
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of the run folders.")] = Path("runs"),
    weights: Annotated[
        Path | None, typer.Option(help="File of pretrained weights. (Default: see affekt weights.)")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed, in place of the recipe's.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KNOB=VALUE", help="Change a knob; repeatable."),
    ] = None,
    archive: Annotated[
        Path | None,
        typer.Option(help="Folder of archived runs; finished folds are restored from it."),
    ] = None,
) -> int:
    """Train and test every unfinished fold of a recipe.

    A killed run resumes when it is started again. Features computed from recordings are cached in
    $AFFEKT_CACHE, or in the user's cache. The exit code is 1 if a fold failed; the others are run.
    `affekt recipe NAME` lists all knobs.
    """
    from affekt.engines import engine_named
    from affekt.experiments.recipe_files import read_recipe
    from affekt.experiments.runner import run as run_recipe
    from affekt.runs.folder import usual_locations

    wanted = read_recipe(recipe, changes or ())
    wanted = wanted if seed is None else wanted.with_(seed=seed)
    locations = usual_locations(wanted.corpus, data=data, runs=runs, weights=weights)
    failures = run_recipe(
        wanted,
        locations,
        folds=_numbers(folds),
        archive=archive,
        jobs=jobs,
        engine=engine_named(engine, address),
    )
    for failure in failures:
        complain(failure)
    print(locations.runs / wanted.run)
    return 1 if failures else 0


def _numbers(folds: str) -> set[int] | None:
    if not re.fullmatch(r"\d{1,6}(,\d{1,6})*|", folds):
        raise typer.BadParameter(f"--folds must read like 1,5. Got {folds!r}.")
    return {int(number) for number in folds.split(",")} if folds else None
