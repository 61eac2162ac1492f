"""Read a user's table of recordings: CSV or Parquet, with columns of any name.

Tables of audformat have times such as ``0 days 00:00:01.500000``, and genders in words.

Source: audformat's documentation, "Table".
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from affekt.corpora.tables import read_lines, read_text
from affekt.errors import CorpusError

PARQUET = (".parquet", ".pq")
_TIME = re.compile(r"(\d+) days?(?: (\d+):(\d+):(\d+(?:\.\d+)?))?")
_GENDERS = {"female": "f", "male": "m", "other": ""}


def table_lines(
    path: Path, known: Sequence[str], names: Mapping[str, str]
) -> Iterator[tuple[int, list[str]]]:
    """Yield number and cells of each line of a table, under affekt's names of columns.

    Args:
        known: names of affekt's columns.
        names: affekt's column by the table's own; if given, other columns are left out.

    Raises:
        CorpusError: it cannot be read, or a column to map is missing.
        ModuleNotFoundError: a Parquet table without pyarrow.
    """
    if odd := sorted(set(names.values()) - set(known)):
        raise CorpusError(
            f"columns of a corpus must be among {', '.join(known)}. Got {', '.join(odd)}. "
            f"Map to one of these."
        )
    if path.suffix.lower() in PARQUET:
        lines: Iterator[tuple[int, list[Any]]] = enumerate(_parquet(path), start=1)
    else:
        lines = read_lines(read_text(path), path=path)
    first, titles = next(lines, (1, []))
    header = [title.strip() for title in titles]
    if missing := sorted(names.keys() - set(header)):
        raise CorpusError(
            f"{path}: columns to map must be in the table. Got {', '.join(missing)}. "
            f"Its columns: {', '.join(header) or 'none'}."
        )
    own = [names.get(name, "" if name in names.values() else name) for name in header]
    keep = [column for column, name in enumerate(own) if name in known or not names]
    yield first, [own[column] for column in keep]
    for number, row in lines:  # a row that is too long keeps its rest: that refuses it
        cells = (_cell(own[column], row[column]) for column in keep if column < len(row))
        yield number, [*cells, *row[len(header) :]]


def _parquet(path: Path) -> Iterator[list[Any]]:
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.read_table(path)
    except (OSError, ArrowException) as error:
        raise CorpusError(
            f"{path}: must be a Parquet table. Got {type(error).__name__}. Save it again."
        ) from error
    yield table.column_names
    yield from ([*row.values()] for row in table.to_pylist())


def _cell(name: str, value: Any) -> str:
    if isinstance(value, timedelta):
        return str(value.total_seconds())
    missing = value is None or value != value  # NaN and NaT differ from themselves
    text = "" if missing else str(value)
    if name in ("start", "end") and (time := _TIME.fullmatch(text.strip())):
        days, hours, minutes, seconds = (float(part or 0) for part in time.groups())
        return str(86_400 * days + 3_600 * hours + 60 * minutes + seconds)
    return _GENDERS.get(text.strip().lower(), text) if name == "gender" else text
