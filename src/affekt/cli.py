"""The command line: every command parses, makes one library call, and prints.

Results go to standard output, complaints to standard error, one line each. Exit codes: 0 all
done, 1 something of many failed, 2 wrong use. A command returns its exit code (None is 0) and
raises :class:`~affekt.errors.AffektError` for what it refuses; :func:`main` does the rest.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import affekt
from affekt.errors import AffektError

app = typer.Typer(
    name="affekt",
    help="Recognize the emotion in a voice.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
_WrongUse: type[Exception] = typer.BadParameter.__mro__[1]  # UsageError, not exported by typer


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after ``affekt``; those of the process by default.

    Returns:
        The exit code: 0, 1 or 2, and 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        return app(args=words, prog_name="affekt", standalone_mode=False) or 0
    except AffektError as error:
        complain(str(error))
    except _WrongUse as error:
        complain(f"{error.format_message()} See affekt --help.")  # type: ignore[attr-defined]
    return 2


def complain(message: str) -> None:
    """Print one line to standard error, whatever the message holds."""
    print("affekt: " + printable(message), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Text for one line of any terminal: line breaks and stray bytes of file names escaped.

    >>> printable("a\\nb")
    'a\\\\nb'
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _version(asked: bool) -> None:
    if asked:
        print(f"affekt {affekt.__version__}")
        raise typer.Exit


@app.callback()
def _affekt(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Recognize the emotion in a voice."""


@app.command()
def predict(
    paths: Annotated[list[str], typer.Argument(metavar="PATH…", help="Files, folders, or -.")],
) -> int:
    """Name the emotion of recordings."""
    raise NotImplementedError(paths, os, Path)


if __name__ == "__main__":
    sys.exit(main())
