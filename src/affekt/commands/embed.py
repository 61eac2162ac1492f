"""Implement ``affekt embed``: write one vector a recording into a table."""

import csv
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any

import typer

from affekt.atomic_write import atomic_write
from affekt.commands import options
from affekt.commands.options import argument, option
from affekt.commands.output.printing import complain, sigterm_as_ctrl_c, with_progress
from affekt.csv_rows import CsvRows

Row = tuple[str, Any]  # file, and its vector
TABLES = (".parquet", ".csv")
BATCH = 1_000  # recordings that are held in memory


def embed(
    paths: Annotated[list[str], argument("PATH...", "Recordings, folders or locations.")],
    output: Annotated[
        Path, option("FILE", f"Table to write, {' or '.join(TABLES)}.", "-o", "--output")
    ],
    model: options.Model = None,
    profile: options.Profile = None,
    channel: options.Channel = None,
    jobs: options.Jobs = None,
) -> int:
    """Write the embedding of each recording: the input of the network's last layer.

    The table has the columns file, e0, e1 and so on. The exit code is 1 if any file failed.
    """
    from affekt.errors import RunError, writing
    from affekt.inference.files import Failure, embed_files, find_files
    from affekt.inference.graph import require_embedding
    from affekt.inference.predictor import load

    if output.suffix.lower() not in TABLES:
        raise typer.BadParameter(f"--output must end in {' or '.join(TABLES)}. Got {output}.")
    options.refuse_output(output, *paths, model, profile)
    predictor = load(model, profile=profile, channel=channel)
    require_embedding(predictor.graph)
    failed = 0

    def rows() -> Iterator[Row]:
        nonlocal failed
        results = embed_files(predictor, paths, jobs=jobs)
        for result in with_progress(results, lambda: sum(1 for _ in find_files(paths))):
            if isinstance(result, Failure):
                complain(result.error)
                failed += 1
            else:
                yield result

    as_csv = output.suffix.lower() == ".csv"
    write = _write_csv if as_csv else partial(_write_parquet, predictor.graph.digest)
    remedy = "Name a file in a folder that exists."
    with sigterm_as_ctrl_c(), writing(output, RunError, remedy), atomic_write(output) as part:
        write(part, rows())
    return 1 if failed else 0


def _columns(rows: Sequence[Row]) -> list[str]:
    return ["file", *(f"e{number}" for number in range(rows[0][1].size if rows else 0))]


def _write_csv(path: Path, rows: Iterator[Row]) -> None:
    first = [*islice(rows, 1)]
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(CsvRows(file))
        writer.writerow(_columns(first))
        writer.writerows([name, *vector.tolist()] for name, vector in chain(first, rows))


def _write_parquet(digest: str, path: Path, rows: Iterator[Row]) -> None:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    batch = [*islice(rows, BATCH)]
    file, *numbers = _columns(batch)
    fields = [(file, pa.string()), *((number, pa.float32()) for number in numbers)]
    schema = pa.schema(fields, metadata={"affekt_model": digest})
    with ParquetWriter(path, schema) as writer:
        while batch:
            # names that are no UTF-8 are escaped: Parquet holds no other text
            names = [name.encode("utf-8", "backslashreplace").decode() for name, _ in batch]
            columns = [names, *zip(*(vector for _, vector in batch), strict=True)]
            writer.write_table(pa.table(columns, schema=schema))
            batch = [*islice(rows, BATCH)]
