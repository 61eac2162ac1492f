"""Implement ``affekt predict``: check the options, then predict files or their timelines."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from affekt.commands import options
from affekt.commands.options import argument, flag, option, refuse_together
from affekt.commands.output.printing import sigterm_as_ctrl_c, with_progress
from affekt.commands.output.result_printing import (
    csv_columns,
    print_results,
    printer_of,
    results_output,
    table,
    with_hint,
)
from affekt.commands.output.resume import Finished, find_finished
from affekt.commands.output.timeline_printing import (
    ANNOTATIONS,
    ONE_RECORDING,
    PICTURES,
    SPEAKER,
    is_output_folder,
    print_timelines,
    write_annotations,
)
from affekt.shipped_folders import shipped_folder

STDIN = "-"

Paths = Annotated[
    list[str] | None,
    argument(
        "PATH...", "Recordings, folders, locations such as s3://bucket/, or - for standard input."
    ),
]
Demo = Annotated[bool, flag("--demo", "Predict the synthetic samples that affekt ships.")]
Csv = Annotated[bool, flag("--csv", "Print one CSV row per result.")]
Output = Annotated[str | None, option("FILE", "Write into a file or location.", "-o", "--output")]
Resume = Annotated[bool, flag("--resume", "Append to the output; skip files that it holds.")]
Timeline = Annotated[bool, flag("--timeline", "Predict every utterance of the recordings.")]
Format = Annotated[str, option("NAME", f"Timeline format: {', '.join(ANNOTATIONS)}.", "--format")]
Plot = Annotated[Path | None, option("FILE", "Draw the timeline, as .png or .svg (extra report).")]


def predict(
    paths: Paths = None,
    demo: Demo = False,
    as_json: options.Json = False,
    as_csv: Csv = False,
    output: Output = None,
    resume: Resume = False,
    model: options.Model = None,
    profile: options.Profile = None,
    adapt: options.Adapt = False,
    min_confidence: options.MinConfidence = 0.0,
    no_quality: options.NoQuality = False,
    channel: options.AnyChannel = None,
    speakers: options.Speakers = None,
    speaker: options.Speaker = None,
    jobs: options.Jobs = None,
    engine: options.Engine = "local",
    address: options.Address = None,
    timeline: Timeline = False,
    annotation: Format = "",
    plot: Plot = None,
) -> int:
    """Predict the emotion of recordings.

    A recording of more than 30 s is summarized: the share of speech in each emotion. --timeline
    predicts every utterance.

    Results come in the order of the files; a Ray cluster gives them as they finish. After an
    interruption, repeat the command with --resume. The exit code is 1 if any file failed.
    """
    from affekt.inference.files import find_files, predict_files
    from affekt.inference.predictor import load
    from affekt.inference.speakers.speaker_timelines import check_names
    from affekt.inference.speech.quality import LIMITS
    from affekt.locations import is_location

    refuse_together({"--demo": demo, "PATH": paths})
    if demo:
        paths = [str(path) for path in sorted(shipped_folder("samples").glob("*.flac"))]
    if not paths:
        raise typer.BadParameter("PATH is missing. Name recordings or folders, or try --demo.")
    refuse_together({"--json": as_json, "--csv": as_csv, "--format": annotation})
    if resume and not (output and (as_json or as_csv)):
        raise typer.BadParameter("--resume needs --output, and --json or --csv.")
    on_ray = engine != "local"
    refuse_together({"--demo": demo, "--resume": resume})
    for name, value in {"--resume": resume, "--engine": on_ray, "--address": address}.items():
        refuse_together({name: value, "--timeline": timeline})
        refuse_together({name: value, "- (standard input)": STDIN in paths})
    refuse_together({"--jobs": jobs, "--timeline": timeline})
    if address and not on_ray:
        raise typer.BadParameter("--address needs --engine ray.")
    into_folder = bool(annotation) and is_output_folder(output)
    _check_timeline(paths, timeline, annotation, plot, into_folder=into_folder)
    chosen = options.channel_of(channel)
    distinguished = options.check_speakers(chosen, speakers, speaker, timeline, profile, plot)
    if output == "-" or (into_folder and is_location(output)):
        raise typer.BadParameter(
            f"--output must be a file, a location of one, or with --format a folder of this "
            f"machine. Got {output}. Leave it out to print to the terminal."
        )
    options.refuse_output(output, *paths, model, profile, plot, speakers)
    options.refuse_output(plot, *paths, model, profile, speakers, name="--plot")
    voices: Any = {
        "channel": chosen,
        "speakers": options.speakers_of(speakers),
        "enrolled": options.profiles_of(speaker or []),
    }
    check_names(voices["speakers"], voices["enrolled"])
    find: Callable[..., Iterator[Any]] = predict_files
    if on_ray:
        from affekt.engines import engine_named
        from affekt.inference.cluster import predict_on

        find = partial(predict_on, engine_named(engine, address))
    predictor = load(
        model,
        profile=profile,
        adapt=adapt,
        min_confidence=min_confidence,
        channel=None if chosen == "each" else chosen,
        limits=None if no_quality else LIMITS,
    )
    if into_folder:
        with sigterm_as_ctrl_c():
            return write_annotations(predictor, paths, Path(f"{output}"), annotation, **voices)
    form = annotation or ("json" if as_json else "csv" if as_csv else "table")
    prepare = partial(find_finished, name=f"{output}", predictor=predictor, as_csv=as_csv)
    opened = results_output(output, prepare if resume else None)
    with sigterm_as_ctrl_c(), opened as (out, finished):
        if timeline:
            columns = SPEAKER if distinguished else ()
            return print_timelines(
                predictor, paths, out, form=form, plot=plot, columns=columns, **voices
            )
        skip = finished or Finished()
        results = find(predictor, paths, skip=skip, jobs=jobs)
        if demo:  # the installed folder's name is long
            results = (replace(each, file=Path(each.file).name) for each in results)
        if not out.isatty():
            found = find_files(paths, skip=skip)  # searched only if the bar is shown
            results = with_progress(results, lambda: sum(1 for _ in found), delay=0.0)
        if predictor.graph.profile and not (profile or adapt):
            results = with_hint(results)
        header = not (resume and out.seekable() and out.tell())  # a resumed output may have one
        printer = printer_of(form, out, csv_columns(predictor.labels), header=header)
        return print_results(results, printer or table(out, predictor.labels))


def _check_timeline(
    paths: list[str], timeline: bool, annotation: str, plot: Path | None, *, into_folder: bool
) -> None:
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
    needs_one = annotation in ONE_RECORDING and not into_folder
    single = "--plot" if plot else f"--format {annotation}" if needs_one else ""
    refuse_together({"--plot": plot, "a folder as --output": into_folder})
    if single and len([*islice(find_files(paths), 2)]) != 1:
        remedy = "" if plot else " For several, name a folder as --output."
        raise typer.BadParameter(
            f"{single} needs exactly one recording. Got {' '.join(paths)}.{remedy}"
        )
