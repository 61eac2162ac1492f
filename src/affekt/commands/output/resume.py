"""Find files already finished in a partial output."""

import csv
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from affekt.atomic_write import atomic_write
from affekt.commands.output.printing import complain
from affekt.commands.output.result_printing import csv_columns
from affekt.errors import AffektError, RunError, writing
from affekt.locations import is_location

if TYPE_CHECKING:
    from affekt.inference.predictor import Predictor

PARSE_ERRORS = (ValueError, KeyError, TypeError, AttributeError, csv.Error, RecursionError)
TOLERANCE = 1e-3  # of a probability: above rounding errors, below differences between models


#: File, label and probabilities of a result in the output; one without probabilities is a failure.
Record = tuple[str, str, dict[str, float]]


class Finished(set[str]):
    """Absolute names of the files whose predictions an output holds; ``in`` takes relative ones."""

    def __contains__(self, file: object) -> bool:
        return isinstance(file, str) and super().__contains__(_absolute(file))


def find_finished(output: Path, *, name: str, predictor: "Predictor", as_csv: bool) -> Finished:
    """Find the files that an output holds, and prepare the output for more results.

    Removes an incomplete last record, and failures, whose files are tried again. Predicts one
    finished file again, to check that the output, which errors call ``name``, is of the same model.

    Raises:
        RunError: it holds anything but results of ``affekt predict`` with this model and options,
            or cannot be written.
    """
    finished = Finished()
    with writing(name, RunError, "Name another file with --output.", done="resumed"):
        output = output.resolve()
        if not output.exists() or not output.stat().st_size:
            return finished
        with atomic_write(output) as part:
            with output.open("rb") as old, part.open("wb") as new:
                header = (",".join(csv_columns(predictor.labels)) + "\n").encode()
                for record in _copy_finished(old, new, name, header if as_csv else b""):
                    if not finished:
                        _check_model(record, predictor, name)
                    finished.add(_absolute(record[0]))
            shutil.copymode(output, part)
    return finished


def _copy_finished(old: BinaryIO, new: BinaryIO, name: str, header: bytes) -> Iterator[Record]:
    """Copy the complete predictions and yield them; an empty header means JSON lines."""
    columns = next(csv.reader([header.decode()]), [])
    expected = header or b'{"file": "'
    for number, line in enumerate(_lines(old, as_csv=bool(header)), start=1):
        complete = line.endswith(b"\n")
        if not complete and (number > 1 or expected.startswith(line[: len(expected)])):
            return
        if number == 1 and header:
            if line != header:
                raise _foreign(name, number, line)
            new.write(line)
            continue
        text = line.decode("utf-8", "surrogateescape")
        try:
            file, label, probabilities = _parse(text, columns)
        except PARSE_ERRORS as error:
            raise _foreign(name, number, line) from error
        if probabilities:
            new.write(line)
            yield file, label, probabilities


def _lines(file: BinaryIO, *, as_csv: bool) -> Iterator[bytes]:
    """Read records; in CSV, a quoted file name may hold line breaks. The last may be incomplete."""
    record = b""
    for line in file:
        record += line
        if as_csv and record.count(b'"') % 2:
            continue
        yield record
        record = b""
    if record:
        yield record.removesuffix(b"\n")


def _parse(text: str, columns: Sequence[str]) -> Record:
    """Parse one CSV record or, without columns, one JSON line."""
    if columns:
        (row,) = csv.reader([text])
        cells: Any = dict(zip(columns, row, strict=True))
        shares = {each[2:]: cells[each] for each in columns if each.startswith("p_")}
    else:
        cells = {"error": "", **json.loads(text)}
        shares = {} if cells["error"] else cells["probabilities"]
        if not cells["error"] and not {"duration", "segments"} <= cells.keys():
            raise ValueError("an utterance of a timeline")
    if cells["error"]:
        return str(cells["file"]), "", {}
    probabilities = {str(label): float(share) for label, share in shares.items()}
    return str(cells["file"]), cells["label"], probabilities


def _check_model(record: Record, predictor: "Predictor", name: str) -> None:
    """Refuse an output whose first prediction differs from this predictor's."""
    file, label, probabilities = record
    same = tuple(probabilities) == predictor.labels
    if same:
        try:
            again = predictor.predict(file)
        except AffektError as error:
            complain(f"cannot check that {name} is from this model: {error}")
            return
        same = again.label == label and all(
            abs(again.probabilities[each] - p) <= TOLERANCE for each, p in probabilities.items()
        )
    if not same:
        raise RunError(
            f"{name} must hold results of model {predictor.graph.file.stem} with the same options. "
            f"Got another prediction for {file}. Name another file with --output."
        )


def _foreign(name: str, number: int, line: bytes) -> RunError:
    start = line[:60].decode("utf-8", "replace")
    return RunError(
        f"{name} must hold results of affekt predict in the same format and with the same labels. "
        f"Got line {number}: {start!r}. Name another file with --output."
    )


def _absolute(file: str) -> str:
    return file if is_location(file) else os.path.abspath(file)  # noqa: PTH100 -- takes any name
