"""Implement the commands of ``affekt journal`` that only read: list and export."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from affekt.commands.journal import File, Passphrase, entry_line, opened
from affekt.commands.options import option, refuse_output, refuse_together

Output = Annotated[Path | None, option("FILE", "Write into a file.", "-o", "--output")]


def journal_list(file: File, passphrase: Passphrase = False) -> None:
    """List the entries: identifier, date, emotion, duration, name and note."""
    with opened(file, passphrase, write=False) as journal:
        for entry in journal.entries():
            print(entry_line(entry))


def journal_export(
    file: File,
    as_csv: Annotated[bool, typer.Option("--csv", help="Write one CSV row per entry.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
    as_fhir: Annotated[
        bool, typer.Option("--fhir", help="Write FHIR R4 Observations (extra journal).")
    ] = False,
    output: Output = None,
    passphrase: Passphrase = False,
) -> None:
    """Export all entries."""
    from affekt.atomic_write import atomic_write
    from affekt.errors import JournalError, writing
    from affekt.journal import exports

    forms = {"--csv": as_csv, "--json": as_json, "--fhir": as_fhir}
    refuse_together(dict(forms))
    if not any(forms.values()):
        raise typer.BadParameter(f"choose one of {', '.join(forms)}.")
    if output:
        refuse_output(output, file)
    write = exports.write_csv if as_csv else exports.write_json if as_json else exports.write_fhir
    with opened(file, passphrase, write=False) as journal:
        if output is None:
            write(journal, sys.stdout)
            return
        encoding = "utf-8-sig" if as_csv else "utf-8"  # spreadsheets ask for the mark
        with (
            writing(output, JournalError),
            atomic_write(output) as part,
            part.open("w", encoding=encoding, newline="") as out,
        ):
            write(journal, out)


def journal_report(
    file: File,
    output: Annotated[
        Path, option("FILE", "HTML file to write (default: report.html).", "-o", "--output")
    ] = Path("report.html"),
    passphrase: Passphrase = False,
) -> None:
    """Write a page on the course of the person: one HTML file, for screen and print.

    It compares later recordings with the baseline (extra journal). The journal is only read.
    """
    from affekt.atomic_write import atomic_write
    from affekt.errors import JournalError, writing
    from affekt.journal.report import report_page

    refuse_output(output, file)
    with opened(file, passphrase, write=False) as journal:
        text = report_page(journal)
    with writing(output, JournalError), atomic_write(output) as part:
        part.write_text(text, encoding="utf-8")
    print(output)
