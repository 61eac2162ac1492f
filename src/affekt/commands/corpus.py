"""Implement ``affekt corpus``: check a published corpus or a user's own, and write its manifest."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from affekt.commands import options
from affekt.commands.options import argument, flag, option
from affekt.commands.output.printing import complain, printable, with_progress

if TYPE_CHECKING:
    from affekt.corpora import Survey


def corpus(
    name: Annotated[str, argument("NAME", "Published corpus, or a name for your own corpus.")],
    root: Annotated[Path, argument("ROOT", "Folder of the corpus, or your own table or manifest.")],
    output: Annotated[
        Path, option("FILE", "Manifest to write (default: manifest.csv).", "-o", "--output")
    ] = Path("manifest.csv"),
    task: Annotated[
        str | None,
        option(
            "four|all", "four (angry, happy, sad, neutral), or all labels (default for your own)."
        ),
    ] = None,
    partial: Annotated[bool, flag("--partial", "Accept an incomplete corpus.")] = False,
    speaker: options.SpeakerPattern = "",
    label: options.Labels = None,
    column: options.Columns = None,
) -> None:
    """Compare a corpus with its published counts, and write its manifest.

    Your own corpus is a table (CSV, or Parquet as audformat writes it) with the columns file, label
    and speaker, or folders that are named after labels.
    """
    from affekt.corpora import CORPORA, survey, survey_own, write_manifest

    options.refuse_output(output, root)
    labels, columns = options.own_names(label, column)
    if name in CORPORA and (labels or speaker or columns):
        given = "--label" if labels else "--speaker" if speaker else "--column"
        raise typer.BadParameter(f"{given} is for your own corpus, and cannot change {name}.")
    if name in CORPORA:
        found = survey(CORPORA[name], root, task or "four", watch=with_progress)
    elif speaker or not root.is_dir():
        task = task or "all"
        found = survey_own(
            name, root, task, labels=labels, speaker=speaker, columns=columns, watch=with_progress
        )
    else:
        raise typer.BadParameter(
            f"NAME must be one of {', '.join(CORPORA)}; your own corpus needs --speaker or a CSV "
            f"table. Got {name}."
        )
    print_counts(found)
    write_manifest(found.manifest(partial=partial), output)
    print(printable(str(output)))
    if found.faults():
        complain(f"{output} holds only a part of {name}: {found.faults()}")


def print_counts(survey: "Survey") -> None:
    """Print clips per speaker and label: ``7/8`` if only 7 of 8 published clips were found."""
    from rich.console import Console
    from rich.table import Table

    lines = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    lines.add_column(survey.corpus, no_wrap=True)
    for name in ("speakers", *survey.labels, "clips"):
        lines.add_column(name, justify="right", no_wrap=True)
    for row in survey.rows():
        cells = [
            str(found) if published in (found, None) else f"[red]{found}/{published}[/red]"
            for found, published in zip(row.found, row.published, strict=True)
        ]
        lines.add_row(row.name, *cells)
    Console(width=1_000).print(lines)  # never cut a number; the terminal wraps long lines
