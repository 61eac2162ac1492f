"""Implement ``affekt run``: train and test a recipe."""

import re
from pathlib import Path
from typing import Annotated

import typer

from affekt.commands import options
from affekt.commands.options import argument, option
from affekt.commands.output.printing import complain, sigterm_as_ctrl_c


def run(
    recipe: Annotated[str, argument("RECIPE", "Recipe file, or name of a shipped recipe.")],
    folds: Annotated[str, option("1,5", "Folds to run (default: all).")] = "",
    jobs: Annotated[
        int | None, option("N", "Folds at a time (default: one per core).", min=1)
    ] = None,
    engine: options.Engine = "local",
    address: options.Address = None,
    data: Annotated[
        Path | None,
        option("PATH", "Folder of the corpus, or your manifest (default: in $AFFEKT_DATA)."),
    ] = None,
    runs: Annotated[Path, option("FOLDER", "Folder of the run folders (default: runs).")] = Path(
        "runs"
    ),
    weights: Annotated[
        Path | None, option("FILE", "Pretrained weights (default: see affekt weights).")
    ] = None,
    seed: Annotated[int | None, option("N", "Seed, in place of the recipe's.")] = None,
    changes: options.Changes = None,
    archive: Annotated[
        Path | None,
        option("FOLDER", "Folder of archived runs, from which finished folds are restored."),
    ] = None,
) -> int:
    """Train and test every unfinished fold of a recipe, and print the UAR.

    A killed run resumes when it is started again. Features computed from recordings are cached in
    $AFFEKT_CACHE, or in the user's cache. The exit code is 1 if a fold failed; the others are run.
    affekt recipe NAME lists all knobs.
    """
    from affekt.engines import engine_named
    from affekt.experiments.recipe_files import read_recipe
    from affekt.experiments.runner import run as run_recipe
    from affekt.runs.folder import DONE, usual_locations

    wanted = read_recipe(recipe, changes or ())
    wanted = wanted if seed is None else wanted.with_(seed=seed)
    locations = usual_locations(wanted.corpus, data=data, runs=runs, weights=weights)
    with sigterm_as_ctrl_c():
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
    folder = locations.runs / wanted.run
    if wanted.protocol != "train-on-everybody" and any(folder.glob(f"fold-*/{DONE}")):
        print_scores(folder)
    print(folder)
    return 1 if failures else 0


def print_scores(folder: Path) -> None:
    """Print the UAR on each tested corpus over the finished folds of a run."""
    from affekt.evaluation.results import collect
    from affekt.report.names import corpus_name
    from affekt.runs.reading import read_run

    (result,) = collect([read_run(folder)])
    for part in result.by_corpus:
        chance = 1 / len(part.tally.labels)
        print(
            f"UAR on {corpus_name(part.tested)}: {part.uar}; chance {chance:.3f}; {part.progress}"
        )


def _numbers(folds: str) -> set[int] | None:
    if not re.fullmatch(r"\d{1,6}(,\d{1,6})*|", folds):
        raise typer.BadParameter(f"--folds must read like 1,5. Got {folds!r}.")
    return {int(number) for number in folds.split(",")} if folds else None
