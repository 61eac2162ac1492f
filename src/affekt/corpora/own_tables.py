"""Read a user's table of recordings: CSV or Parquet, with columns of any name.

Tables of audformat have times such as ``0 days 00:00:01.500000``, and genders in words.

Source: audformat's documentation, "Table".
"""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from affekt.corpora.tables import csv_text, read_lines, read_text
from affekt.errors import CorpusError

PARQUET = (".parquet", ".pq")
_TIME = re.compile(r"(\d+) days?(?: (\d+):(\d+):(\d+(?:\.\d+)?))?")
_GENDERS = {"female": "f", "male": "m", "other": ""}


def table_text(path: Path, known: Sequence[str], names: Mapping[str, str]) -> str:
    """Read a table as CSV text with affekt's names of columns.

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
        header, rows = _parquet(path)
    else:
        text = read_text(path)
        if not names and " days" not in text:
            return text
        lines = [row for _, row in read_lines(text, path=path)]
        header, rows = [name.strip() for name in lines[0]] if lines else [], lines[1:]
    if missing := sorted(names.keys() - set(header)):
        raise CorpusError(
            f"{path}: columns to map must be in the table. Got {', '.join(missing)}. "
            f"Its columns: {', '.join(header) or 'none'}."
        )
    own = {name: names.get(name, name) for name in header}
    keep = [place for place, name in enumerate(header) if own[name] in known or not names]
    cells = (  # of a row that is too long the rest too: it is refused by its number of cells
        [*(_cell(own[header[at]], row[at]) for at in keep if at < len(row)), *row[len(header) :]]
        for row in rows
    )
    return csv_text([[own[header[at]] for at in keep], *cells])


def _parquet(path: Path) -> tuple[list[str], list[list[Any]]]:
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.read_table(path)
    except (OSError, ArrowException) as error:
        raise CorpusError(
            f"{path}: must be a Parquet table. Got {type(error).__name__}. Save it again."
        ) from error
    return table.column_names, [[*row.values()] for row in table.to_pylist()]


def _cell(name: str, value: Any) -> str:
    if isinstance(value, timedelta):
        return str(value.total_seconds())
    missing = value is None or value != value  # NaN and NaT differ from themselves
    text = "" if missing else str(value)
    if name in ("start", "end") and (time := _TIME.fullmatch(text.strip())):
        days, hours, minutes, seconds = (float(part or 0) for part in time.groups())
        return str(86_400 * days + 3_600 * hours + 60 * minutes + seconds)
    return _GENDERS.get(text.strip().lower(), text) if name == "gender" else text
