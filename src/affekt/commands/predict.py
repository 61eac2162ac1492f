"""Implement ``affekt predict``: check the options, then predict files or their timelines."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from affekt.commands.options import (
    Adapt,
    Address,
    Channel,
    Engine,
    Jobs,
    Json,
    MinConfidence,
    Model,
    Profile,
    refuse_together,
)
from affekt.commands.printing import sigterm_as_ctrl_c, with_progress
from affekt.commands.result_printing import (
    Result,
    csv_columns,
    csv_rows,
    json_lines,
    print_results,
    results_output,
    table,
)
from affekt.commands.resume import Finished, find_finished
from affekt.commands.timeline_printing import (
    ANNOTATIONS,
    ONE_RECORDING,
    PICTURES,
    print_timelines,
)

STDIN = "-"

Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH...",
        help="Recordings in any format, folders, locations such as s3://bucket/folder/, "
        "or - for standard input.",
        show_default=False,
    ),
]
Csv = Annotated[bool, typer.Option("--csv", help="Print one CSV row per result.")]
Output = Annotated[
    str | None,
    typer.Option("-o", "--output", metavar="FILE", help="Print into a file or location."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Append to the output; skip files that it holds.")
]
Timeline = Annotated[
    bool, typer.Option("--timeline", help="Predict every utterance of the recordings.")
]
Format = Annotated[
    str,
    typer.Option(
        "--format", metavar="NAME", help=f"Format of the timeline: {', '.join(ANNOTATIONS)}."
    ),
]
Plot = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Draw the timeline, as .png or .svg (extra report)."),
]


def predict(
    paths: Paths,
    as_json: Json = False,
    as_csv: Csv = False,
    output: Output = None,
    resume: Resume = False,
    model: Model = None,
    profile: Profile = None,
    adapt: Adapt = False,
    min_confidence: MinConfidence = 0.0,
    channel: Channel = None,
    jobs: Jobs = None,
    engine: Engine = "local",
    address: Address = None,
    timeline: Timeline = False,
    annotation: Format = "",
    plot: Plot = None,
) -> int:
    """Predict the emotion of recordings.

    The prediction of a long recording describes its end; --timeline predicts every utterance.

    Results come in the order of the files, from a Ray cluster as they are done. After an
    interruption, repeat the command with --resume. The exit code is 1 if any file failed.
    """
    from affekt.inference.predictor import load

    refuse_together({"--json": as_json, "--csv": as_csv, "--format": annotation})
    if resume and not (output and (as_json or as_csv)):
        raise typer.BadParameter("--resume needs --output, and --json or --csv.")
    on_ray = engine != "local"
    for option, value in {"--resume": resume, "--engine": on_ray, "--address": address}.items():
        refuse_together({option: value, "--timeline": timeline})
        refuse_together({option: value, "- (standard input)": STDIN in paths})
    refuse_together({"--jobs": jobs, "--timeline": timeline})
    _check_timeline(paths, timeline, annotation, plot)
    if output:
        _check_output(output, [*paths, model, profile, plot])
    find = None if timeline else _file_predictor(engine, address)
    predictor = load(
        model, profile=profile, adapt=adapt, min_confidence=min_confidence, channel=channel
    )
    form = annotation or ("json" if as_json else "csv" if as_csv else "table")
    with sigterm_as_ctrl_c():
        if not find:
            with results_output(output) as (out, _):
                return print_timelines(predictor, paths, out, form=form, plot=plot)
        prepare = partial(find_finished, name=f"{output}", predictor=predictor, as_csv=as_csv)
        with results_output(output, prepare if resume else None) as (out, finished):
            find = partial(find, predictor, paths, jobs=jobs)
            return _print_predictions(find, paths, form, predictor.labels, out, finished)


def _check_timeline(paths: list[str], timeline: bool, annotation: str, plot: Path | None) -> None:
    from affekt.inference.files import find_files

    if (annotation or plot) and not timeline:
        raise typer.BadParameter(f"{'--format' if annotation else '--plot'} needs --timeline.")
    if annotation and annotation not in ANNOTATIONS:
        names = ", ".join(ANNOTATIONS)
        raise typer.BadParameter(f"--format must be one of {names}. Got {annotation}.")
    if plot and plot.suffix.lower() not in PICTURES:
        raise typer.BadParameter(f"--plot must end in {' or '.join(PICTURES)}. Got {plot}.")
    if plot and not plot.absolute().parent.is_dir():
        raise typer.BadParameter(f"--plot must name a file in a folder that exists. Got {plot}.")
    single = "--plot" if plot else f"--format {annotation}" if annotation in ONE_RECORDING else ""
    if single and len([*islice(find_files(paths), 2)]) != 1:
        raise typer.BadParameter(f"{single} needs exactly one recording. Got {' '.join(paths)}.")


def _check_output(output: str, inputs: list[Any]) -> None:
    """Refuse an output that is also a recording, model, profile or plot of this command."""
    if output == "-":
        raise typer.BadParameter(
            "--output must be a file or location. Got -. Leave it out to print to the terminal."
        )
    for path in map(str, filter(None, inputs)):
        # os.path, since Path raises on names that are too long
        same = os.path.exists(path) and os.path.exists(output) and os.path.samefile(path, output)  # noqa: PTH110, PTH121
        if same or os.path.abspath(path) == os.path.abspath(output):  # noqa: PTH100
            raise typer.BadParameter(
                f"--output must not be a file that the command uses. Got {output}. "
                f"Name another file."
            )


def _file_predictor(engine: str, address: str | None) -> Callable[..., Iterator[Result]]:
    """Choose what predicts files: threads of this machine, or a Ray cluster."""
    if (engine, address) == ("local", None):
        from affekt.inference.files import predict_files

        return predict_files
    from affekt.engines import engine_named
    from affekt.inference.batches import predict_on

    return partial(predict_on, engine_named(engine, address))


def _print_predictions(
    find: Callable[..., Iterator[Result]],
    paths: list[str],
    form: str,
    labels: Sequence[str],
    out: TextIO,
    finished: Finished | None,
) -> int:
    from rich.console import Console

    from affekt.inference.files import find_files

    skip = finished or Finished()
    if form == "json":
        printer = json_lines(out)
    elif form == "csv":
        printer = csv_rows(out, csv_columns(labels), header=not skip.has_content)
    else:
        printer = table(Console(file=out), labels)
    results = find(skip=skip)
    if not out.isatty():
        results = with_progress(
            results, lambda: sum(1 for _ in find_files(paths, skip=skip)), delay=0.0
        )
    return print_results(results, printer)
