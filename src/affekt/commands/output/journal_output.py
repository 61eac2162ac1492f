"""Implement the commands of ``affekt journal`` that only read it: list, export and report."""

import sys
from io import StringIO
from pathlib import Path
from typing import Annotated

import typer

from affekt.atomic_write import atomic_write
from affekt.commands.journal import File, entry_line, opened
from affekt.commands.options import flag, option, refuse_output, refuse_together
from affekt.commands.output.printing import with_progress
from affekt.errors import JournalError, writing


def journal_list(file: File) -> None:
    """List the entries: identifier, date, emotion, duration, name and note."""
    with opened(file, write=False) as journal:
        for entry in journal.entries():
            print(entry_line(entry))


def journal_export(
    file: File,
    as_csv: Annotated[bool, flag("--csv", "Write one CSV row per entry.")] = False,
    as_json: Annotated[bool, flag("--json", "Write one JSON object.")] = False,
    as_fhir: Annotated[bool, flag("--fhir", "Write FHIR R4 Observations (extra journal).")] = False,
    output: Annotated[Path | None, option("FILE", "Write into a file.", "-o", "--output")] = None,
) -> None:
    """Export all entries as CSV, JSON or FHIR."""
    from affekt.journal import exports

    forms = {"--csv": as_csv, "--json": as_json, "--fhir": as_fhir}
    refuse_together(dict(forms))
    if not any(forms.values()):
        raise typer.BadParameter(f"choose one of {', '.join(forms)}.")
    refuse_output(output, file)
    write = exports.write_csv if as_csv else exports.write_json if as_json else exports.write_fhir
    with opened(file, write=False) as journal:
        text = StringIO()
        write(journal, sys.stdout if output is None else text)
    if output:
        _write(output, text.getvalue(), "utf-8-sig" if as_csv else "utf-8")  # for spreadsheets


def journal_report(
    file: File,
    output: Annotated[
        Path, option("FILE", "HTML file to write (default: report.html).", "-o", "--output")
    ] = Path("report.html"),
) -> None:
    """Write a report on the person over time: one HTML page, for screen and print.

    It compares later recordings with the baseline (extra journal).
    """
    from affekt.journal.report import report_page

    refuse_output(output, file)
    if output.suffix.lower() not in ("", ".html", ".htm"):
        raise typer.BadParameter(
            f"the report must be an HTML file. Got {output}. Name it .html; a browser can print it "
            f"to PDF."
        )
    with opened(file, write=False) as journal:
        text = report_page(journal, watch=with_progress)
    _write(output, text)
    print(output)


def _write(output: Path, text: str, encoding: str = "utf-8") -> None:
    """Write a file that only its owner may read, as the journal."""
    with writing(output, JournalError), atomic_write(output) as part:
        part.chmod(0o600)
        part.write_text(text, encoding=encoding, newline="")
