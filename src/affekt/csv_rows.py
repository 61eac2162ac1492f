"""Write CSV whose rows stay rows, and whose cells stay text in a spreadsheet."""

from typing import TextIO


class CsvRows:
    """A file for a CSV writer: rows end in a line feed, and cells may hold carriage returns.

    The writer quotes a carriage return only if rows end in one too.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, row: str) -> None:
        """Write one row that ends in CR and LF."""
        self._out.write(row.removesuffix("\r\n") + "\n")


def no_formula(cell: object) -> object:
    """Return a cell, with an apostrophe before text that a spreadsheet would take for a formula.

    >>> no_formula("=1+1"), no_formula(-1)
    ("'=1+1", -1)
    """
    dangerous = isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{cell}" if dangerous else cell
