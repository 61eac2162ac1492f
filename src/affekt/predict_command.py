"""The command ``predict``: which forms and options go together, then one library call."""

import os
from pathlib import Path
from typing import Annotated

import typer

from affekt.printing import csv_rows, into, json_lines, show, table, with_progress
from affekt.timeline_printing import ANNOTATIONS, ONE_RECORDING, PICTURES, show_timelines


def predict(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Recordings of any format, folders of them, or - for one on standard input.",
            show_default=False,
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print one CSV row a result.")] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to print into.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="FILE|NAME", help="Model file, or name of a shipped one.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Files at a time.  [default: one a core]")
    ] = None,
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Name the emotion of every utterance.")
    ] = False,
    annotation: Annotated[
        str, typer.Option("--format", help=f"Of the timeline: {', '.join(ANNOTATIONS)}.")
    ] = "",
    plot: Annotated[
        Path | None, typer.Option(help="Draw the timeline, as .png or .svg (needs extra report).")
    ] = None,
) -> int:
    """Name the emotion of recordings.

    Results come in the order of the files; the exit code is 1 if any of them failed.
    """
    from affekt.inference.files import find_files, predict_files
    from affekt.inference.predictor import load

    if as_json + as_csv + bool(annotation) > 1:
        raise typer.BadParameter("--json, --csv and --format exclude each other.")
    if timeline:
        _check_timeline(paths, annotation, plot, jobs)
    elif annotation or plot:
        raise typer.BadParameter("--format and --plot are for a --timeline.")
    predictor = load(model)
    with into(output):
        if timeline:
            form = annotation or ("json" if as_json else "csv" if as_csv else "table")
            return show_timelines(predictor, paths, form=form, plot=plot)
        results = predict_files(predictor, paths, jobs=jobs)
        results = with_progress(results, lambda: sum(1 for _ in find_files(paths)))
        rows = json_lines if as_json else csv_rows if as_csv else table
        return show(results, predictor.labels, rows)


def _check_timeline(paths: list[str], annotation: str, plot: Path | None, jobs: int | None) -> None:
    if jobs:
        raise typer.BadParameter("--jobs is not for a --timeline: it is made as it is heard.")
    if annotation and annotation not in ANNOTATIONS:
        known = ", ".join(ANNOTATIONS)
        raise typer.BadParameter(f"--format must be one of {known}. Got {annotation}.")
    if plot and plot.suffix.lower() not in PICTURES:
        raise typer.BadParameter(f"--plot must end in {' or '.join(PICTURES)}. Got {plot}.")
    if plot and not plot.absolute().parent.is_dir():
        raise typer.BadParameter(f"--plot must lie in a folder that exists. Got {plot}.")
    many = len(paths) != 1 or os.path.isdir(paths[0])  # noqa: PTH112 -- takes any name
    if many and (plot or annotation in ONE_RECORDING):
        raise typer.BadParameter(
            f"--plot and --format {', '.join(ONE_RECORDING)} are for one recording."
        )
