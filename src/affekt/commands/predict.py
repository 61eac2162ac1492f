"""The command ``predict``: which forms and options go together, then one library call."""

import os
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from affekt.commands.options import Adapt, Channel, MinConfidence, Model, Profile
from affekt.commands.printing import (
    csv_rows,
    into,
    json_lines,
    show,
    stopped_by_term,
    table,
    with_progress,
)
from affekt.commands.timeline_printing import ANNOTATIONS, ONE_RECORDING, PICTURES, show_timelines


def predict(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Recordings of any format, folders of them, locations of either such as "
            "s3://bucket/folder/, or - for one on standard input.",
            show_default=False,
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print one CSV row a result.")] = False,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="File or location to print into."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the output, without what it holds.")
    ] = False,
    model: Model = None,
    profile: Profile = None,
    adapt: Adapt = False,
    min_confidence: MinConfidence = 0.0,
    channel: Channel = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Files at a time. (Default: one a core.)")
    ] = None,
    engine: Annotated[
        str, typer.Option(metavar="local|ray", help="Threads here, or a Ray cluster.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="The Ray cluster's. (Default: the one on this machine.)")
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

    The answer to a long recording is that of its end: a --timeline tells which emotion comes when.

    Results come in the order of the files (of a cluster, as they are done); the exit code is 1 if
    any of them failed. Killed at any instant, it goes on with --resume.
    """
    from affekt.commands.resume import Done, take_up
    from affekt.inference.files import STDIN, find_files, predict_files
    from affekt.inference.predictor import load

    if as_json + as_csv + bool(annotation) > 1:
        raise typer.BadParameter("--json, --csv and --format exclude each other.")
    if timeline:
        _check_timeline(paths, annotation, plot, jobs)
    elif annotation or plot:
        raise typer.BadParameter("--format and --plot are for a --timeline.")
    if resume and (STDIN in paths or not output or timeline or not (as_json or as_csv)):
        raise typer.BadParameter("--resume is for files, with -o and --json or --csv.")
    if output == "-":
        raise typer.BadParameter("--output must be a file or location. Leave it out to print.")
    if output:
        _check_output(output, [*paths, model, profile, plot])
    spread = _spread(paths, engine, address, timeline)
    predictor = load(
        model, profile=profile, adapt=adapt, min_confidence=min_confidence, channel=channel
    )
    go_on = partial(take_up, name=f"{output}", predictor=predictor, as_csv=as_csv)
    with stopped_by_term(), into(output, go_on if resume else None) as begun:
        if timeline:
            form = annotation or ("json" if as_json else "csv" if as_csv else "table")
            return show_timelines(predictor, paths, form=form, plot=plot)
        done = begun or Done()
        results = (spread or predict_files)(predictor, paths, jobs=jobs, skip=done)
        results = with_progress(results, lambda: sum(1 for _ in find_files(paths, skip=done)))
        csv_form = partial(csv_rows, heading=not done.begun)
        rows = json_lines if as_json else csv_form if as_csv else table
        return show(results, predictor.labels, rows)


def _spread(paths: list[str], engine: str, address: str | None, timeline: bool) -> Any:
    """What predicts files in place of threads, if that is asked for."""
    if (engine, address) == ("local", None):
        return None
    from affekt.engines import engine_named
    from affekt.inference.batches import predict_on
    from affekt.inference.files import STDIN

    if STDIN in paths or timeline:
        raise typer.BadParameter("--engine is for files, without --timeline.")
    return partial(predict_on, engine_named(engine, address))


def _check_output(output: str, used: list[Any]) -> None:
    """Refuse to print over what is heard, read or drawn, which may have any name."""
    for path in map(str, filter(None, used)):
        # of os.path, since Path raises on names that are too long
        same = os.path.exists(path) and os.path.exists(output) and os.path.samefile(path, output)  # noqa: PTH110, PTH121
        if same or os.path.abspath(path) == os.path.abspath(output):  # noqa: PTH100
            raise typer.BadParameter(f"{output} is used for something else. Name another --output.")


def _check_timeline(paths: list[str], annotation: str, plot: Path | None, jobs: int | None) -> None:
    from affekt.inference.files import find_files

    if jobs:
        raise typer.BadParameter("--jobs is not for a --timeline: it is made as it is heard.")
    if annotation and annotation not in ANNOTATIONS:
        known = ", ".join(ANNOTATIONS)
        raise typer.BadParameter(f"--format must be one of {known}. Got {annotation}.")
    if plot and plot.suffix.lower() not in PICTURES:
        raise typer.BadParameter(f"--plot must end in {' or '.join(PICTURES)}. Got {plot}.")
    if plot and not plot.absolute().parent.is_dir():
        raise typer.BadParameter(f"--plot must lie in a folder that exists. Got {plot}.")
    if not plot and annotation not in ONE_RECORDING:
        return
    if len([*islice(find_files(paths), 2)]) != 1:
        raise typer.BadParameter(
            f"--plot and --format {', '.join(ONE_RECORDING)} are for one recording."
        )
