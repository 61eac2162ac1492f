"""Read the command line of a benchmark, and save the table that it measured."""

import os
from argparse import ArgumentParser, RawTextHelpFormatter
from pathlib import Path

import pandas as pd


def parser_of(about: str | None, *, data: str = "", output: str = "") -> ArgumentParser:
    """Make a parser with the options that benchmarks have in common.

    Args:
        about: the benchmark's docstring.
        data: what the folder of ``--data`` holds; no such option by default.
        output: what ``--output`` writes unless it is given; no such option by default.
    """
    parser = ArgumentParser(description=about, formatter_class=RawTextHelpFormatter)
    if data:
        usual, text = os.environ.get("AFFEKT_DATA"), f"folder of {data}  [$AFFEKT_DATA]"
        parser.add_argument("--data", type=Path, default=usual, required=not usual, help=text)
    if output:
        parser.add_argument("-o", "--output", type=Path, default=Path(output))
    return parser


def save(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, and print it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, lineterminator="\n")
    print(table.to_string(index=False))
