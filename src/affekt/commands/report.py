"""Implement ``affekt report``: write page, archive and summary of some runs."""

import gc
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

from affekt.commands.options import argument, option
from affekt.commands.output.printing import with_progress


def report(
    runs: Annotated[
        list[Path], argument("RUN...", "Run folders, or folders that contain run folders.")
    ],
    output: Annotated[
        Path,
        option(
            "FOLDER", "Folder for the page, figures and tables (default: report).", "-o", "--output"
        ),
    ] = Path("report"),
    data: Annotated[
        Path | None,
        option("FOLDER", "Recordings, to draw example clips (extra train).", exists=True),
    ] = None,
    archive: Annotated[
        Path | None,
        option("FOLDER", "Also archive finished folds in this folder, without sound or weights."),
    ] = None,
    summary: Annotated[
        Path | None, option("FILE", "Also write a CSV file with a row for each result.")
    ] = None,
) -> None:
    """Write a page with the results of runs, beside those of the paper."""
    from affekt.evaluation.results import collect
    from affekt.evaluation.summary import write_summary
    from affekt.report.page import build_report
    from affekt.report.tsne import read_points
    from affekt.runs.archive import archive_runs
    from affekt.runs.reading import find_runs, read_run

    begin = time.monotonic()

    def watched(items: Iterable[Any], total: int | None = None) -> Iterable[Any]:
        return with_progress(items, total, delay=begin + 2 - time.monotonic())

    gc.set_threshold(100_000)  # the many objects of tables and figures are nearly all in use
    folders = find_runs(runs)
    with ThreadPoolExecutor() as threads:
        found = list(watched(threads.map(read_run, folders), len(folders)))
    if archive:
        archive_runs(found, archive, points=read_points, progress=watched)
    results = collect(found)
    if summary:
        write_summary(watched(results), summary)
    clips = None
    if data:
        from affekt.experiments.examples import example_clips

        clips = cache(partial(example_clips, root=data))
    print(build_report(results, output, clips=clips, progress=watched))
