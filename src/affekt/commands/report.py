"""The command ``report``: of which runs, then one library call."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders, or folders of some.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for page, pictures and tables.")
    ] = Path("report"),
    data: Annotated[
        Path | None, typer.Option(help="Recordings, to draw Figure 2 from (needs extra train).")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Also copy finished folds, without sound or weights, here.")
    ] = None,
    summary: Annotated[
        Path | None, typer.Option(help="Also write one CSV row for each recipe here.")
    ] = None,
) -> None:
    """Make one page of everything that was measured, beside the paper's values."""
    from rich.console import Console

    from affekt.evaluation.keeping import keep_runs
    from affekt.evaluation.summary import write_summary
    from affekt.report.page import build_report, no_voices

    if keep:
        keep_runs(runs, keep)
    if summary:
        write_summary(runs, summary)
    voices = no_voices
    if data:
        from affekt.experiments.examples import example_voices

        voices = partial(example_voices, root=data)
    with Console(stderr=True).status("reading runs and drawing the page"):
        page = build_report(runs, output, voices=voices)
    print(page)
