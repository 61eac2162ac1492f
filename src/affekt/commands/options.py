"""Define the options that several commands share, and check which options exclude each other."""

import os
from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|NAME",
        help="Model file, or name of a shipped model (see affekt models).",
        show_default=False,
    ),
]
Profile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Voice profile of the speaker, written by affekt enroll.",
    ),
]
Adapt = Annotated[
    bool,
    typer.Option(
        "--adapt", help="Adapt to the speaker of each recording (one speaker per recording)."
    ),
]
Channel = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="Use one channel, from 0, not the mean of all."),
]
MinConfidence = Annotated[
    float,
    typer.Option(
        metavar="P",
        help="Answer 'uncertain' if no emotion reaches this probability.",
        show_default=False,
    ),
]
Jobs = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Files at a time (default: one per core).")
]
Engine = Annotated[
    str, typer.Option(metavar="local|ray", help="Run on this machine, or on a Ray cluster.")
]
Address = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Ray cluster (default: the one on this machine)."),
]


def refuse_together(options: dict[str, object]) -> None:
    """Refuse a command with more than one of these options.

    Args:
        options: value by option; an empty value means that the option was not given.

    Raises:
        typer.BadParameter: two or more were given.
    """
    given = [option for option, value in options.items() if value]
    if len(given) > 1:
        raise typer.BadParameter(f"{given[0]} cannot be combined with {given[1]}.")


def is_recording(word: str) -> bool:
    """Tell whether a word of the command line looks like a recording or a folder."""
    from affekt.audio.reading import SUFFIXES
    from affekt.locations import is_location

    suffix = Path(word).suffix.lower()
    return word == "-" or suffix in SUFFIXES or is_location(word) or os.access(word, os.F_OK)
