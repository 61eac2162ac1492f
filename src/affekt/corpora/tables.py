"""Read and write CSV files, and report their faults in one line."""

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from affekt.atomic_write import atomic_text
from affekt.errors import CorpusError, writing


def write_text(path: Path, text: str) -> None:
    """Write a table in UTF-8 with the same line ends on every system; its folders are made.

    Raises:
        CorpusError: no permission, no space, or a folder that is a file.
    """
    with writing(path, CorpusError):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_text(path, text)


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Format rows as CSV."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def read_text(path: Path) -> str:
    """Read the text of a table in UTF-8, with or without a byte order mark.

    Raises:
        CorpusError: missing, not readable, or not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(
            f"{path}: must be a table in UTF-8. Got {type(error).__name__}: "
            f"{getattr(error, 'strerror', None) or 'not UTF-8'}. Check the path and save as UTF-8."
        ) from error


def read_lines(text: str, *, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield number and cells of each line of a CSV text that is not blank.

    Raises:
        CorpusError: a quotation mark out of place.
    """
    table = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in table:
            if row:
                yield table.line_num, row
    except csv.Error as error:
        raise CorpusError(
            f"{path}, line {table.line_num}: must be CSV. Got {error}. Correct it."
        ) from error
