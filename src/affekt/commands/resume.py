"""What an ended run left in its output to what the next one need not do again."""

import csv
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from affekt.atomic_write import atomic_write
from affekt.commands.printing import complain, csv_columns
from affekt.errors import AffektError, RunError
from affekt.locations import is_location

if TYPE_CHECKING:
    from affekt.inference.predictor import Predictor

SAME = 1e-3  # of a probability: machines round differently, models differ by more


@dataclass(frozen=True)
class Done:
    """The files that an output holds a prediction of.

    Attributes:
        keys: 16 bytes for each.
        begun: whether the output holds anything, if only the CSV's heading.
    """

    keys: Set[bytes] = frozenset()
    begun: bool = False

    def __contains__(self, file: object) -> bool:
        return isinstance(file, str) and _key(file) in self.keys


@dataclass(frozen=True)
class _Line:
    """A line of the output: the probabilities are empty where the file failed."""

    file: str
    label: str
    probabilities: dict[str, float]


def take_up(output: Path, *, name: str, predictor: "Predictor", as_csv: bool) -> Done:
    """Make an output ready to be gone on with.

    A last line that was cut off is taken out, and so are files that failed, which are to be tried
    again. What the output holds of this model's is checked by predicting one file again.

    Args:
        output: JSON lines or CSV of :func:`affekt.inference.files.predict_files`; may be missing.
        name: what messages call it.
        predictor: the loaded model.
        as_csv: whether it is CSV.

    Returns:
        What need not be done again.

    Raises:
        RunError: the output holds something else, another model's results, or cannot be written.
    """
    try:
        output = output.resolve()
        if not output.exists() or not output.stat().st_size:
            return Done()
        keys: set[bytes] = set()
        with atomic_write(output) as part:
            with output.open("rb") as old, part.open("wb") as new:
                heading = _heading(predictor.labels) if as_csv else b""
                lines = _kept(old, new, name, heading)
                first = next(lines, None)
                if first:
                    _check(first, predictor, name)
                    keys = {_key(line.file) for line in chain([first], lines)}
                begun = bool(new.tell())
            shutil.copymode(output, part)
    except RunError:
        raise
    except OSError as error:
        raise RunError(
            f"{name} cannot be gone on with: {error.strerror}. Name another file with -o."
        ) from error
    return Done(keys, begun)


def _kept(old: BinaryIO, new: BinaryIO, name: str, heading: bytes) -> Iterator[_Line]:
    """Copy what stays, and tell each prediction of it."""
    columns = next(csv.reader([heading.decode()]), [])
    expected = heading or b'{"file": "'
    for number, record in enumerate(_records(old, as_csv=bool(heading)), start=1):
        whole = record.endswith(b"\n")
        if not whole and (number > 1 or expected.startswith(record[: len(expected)])):
            return
        if number == 1 and heading:
            if record != heading:
                raise _foreign(name, number, record)
            new.write(record)
            continue
        text = record.decode("utf-8", "surrogateescape")
        try:
            line = _csv_line(text, columns) if heading else _json_line(text)
        except (
            *(ValueError, KeyError, TypeError, AttributeError),
            *(csv.Error, RecursionError),
        ) as error:
            raise _foreign(name, number, record) from error
        if line.probabilities:
            new.write(record)
            yield line


def _records(file: BinaryIO, *, as_csv: bool) -> Iterator[bytes]:
    """Lines, or in CSV several where a name in quotes holds line breaks; the last may be torn."""
    record = b""
    for line in file:
        record += line
        if as_csv and record.count(b'"') % 2:
            continue
        yield record
        record = b""
    if record:
        yield record.removesuffix(b"\n")


def _heading(labels: Iterable[str]) -> bytes:
    return (",".join(csv_columns(labels)) + "\n").encode()


def _json_line(text: str) -> _Line:
    cells = json.loads(text)
    if "error" in cells:
        return _Line(str(cells["file"]), "", {})
    probabilities = {str(label): float(p) for label, p in cells["probabilities"].items()}
    _ = cells["duration"], cells["segments"]
    return _Line(str(cells["file"]), cells["label"], probabilities)


def _csv_line(text: str, columns: list[str]) -> _Line:
    (row,) = csv.reader([text])
    cells = dict(zip(columns, row, strict=True))
    if cells["error"]:
        return _Line(cells["file"], "", {})
    probabilities = {
        name.removeprefix("p_"): float(cells[name]) for name in columns if name.startswith("p_")
    }
    return _Line(cells["file"], cells["label"], probabilities)


def _check(line: _Line, predictor: "Predictor", name: str) -> None:
    """Refuse to go on where another model has begun."""
    same = tuple(line.probabilities) == predictor.labels
    if same:
        try:
            again = predictor.predict(line.file)
        except AffektError as error:
            complain(f"{name} may be of another model, which cannot be told: {error}")
            return
        same = again.label == line.label and all(
            abs(again.probabilities[label] - p) <= SAME for label, p in line.probabilities.items()
        )
    if not same:
        raise RunError(
            f"{name} must be of model {predictor.graph.file.stem}. Got another answer to "
            f"{line.file}: another model's or setting's, or the recording has changed. "
            f"Name another file with -o."
        )


def _foreign(name: str, number: int, record: bytes) -> RunError:
    return RunError(
        f"{name} must hold what this command prints, with this model's labels. Got line "
        f"{number}: {record[:60].decode('utf-8', 'replace')!r}. Name another file with -o."
    )


def _key(file: str) -> bytes:
    """The same for every way to write the name, in little room."""
    name = file if is_location(file) else os.path.abspath(file)  # noqa: PTH100 -- takes any name
    return blake2b(os.fsencode(name), digest_size=16).digest()
