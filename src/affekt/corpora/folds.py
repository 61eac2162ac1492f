"""Read and write ``folds.csv``: training, validation and test speakers of each fold.

A :class:`Fold` raises an error if a speaker is in two of its parts.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from affekt.corpora.tables import csv_text, read_lines, read_text, write_text
from affekt.errors import CorpusError

PARTS = ("train", "validation", "test")
COLUMNS = ("fold", "speaker", "part")


@dataclass(frozen=True)
class Fold:
    """One division of all speakers into training, validation and test speakers, each sorted.

    Folds are counted from 1. Validation and test are empty if all speakers train.

    Raises:
        CorpusError: a part is empty that must not be, or a speaker occurs twice.
    """

    number: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        for part in PARTS if self.test or self.validation else PARTS[:1]:
            if not getattr(self, part):
                raise CorpusError(
                    f"fold {self.number}: {part} must hold at least one speaker. Got none. "
                    f"Use fewer folds or more speakers."
                )
        twice = _twice((*self.train, *self.validation, *self.test))
        if twice:
            raise CorpusError(
                f"fold {self.number}: each speaker must be in one part only. Got {twice} "
                f"twice, which leaks test data. Write the folds again."
            )


def write_folds(folds: Iterable[Fold], path: str | Path) -> None:
    """Write ``folds.csv`` and its folders; raise a CorpusError if that fails."""
    write_text(Path(path), csv_text([COLUMNS, *fold_rows(folds)]))


def fold_rows(folds: Iterable[Fold]) -> Iterator[tuple[int, str, str]]:
    """Yield the rows of ``folds.csv``: fold, speaker, part."""
    for fold in folds:
        for part in PARTS:
            for speaker in getattr(fold, part):
                yield fold.number, speaker, part


def read_folds(path: str | Path) -> tuple[Fold, ...]:
    """Read ``folds.csv``, and check that no speaker is in two parts of a fold.

    Returns:
        The folds by number; all hold the same speakers, each tested at most once.

    Raises:
        CorpusError: no such file, another table, a fold that :class:`Fold` refuses, a speaker
            that is missing from one fold, or one that is tested twice.
    """
    path = Path(path)
    header, *lines = [*read_lines(read_text(path), path=path)] or [(1, [])]
    if tuple(header[1]) != COLUMNS or not lines:
        raise CorpusError(
            f"{path}: must have the columns {', '.join(COLUMNS)} and at least one fold. "
            f"Got columns {', '.join(header[1]) or 'none'} and rows: {len(lines)}. Write the folds "
            f"anew."
        )
    parts: dict[int, dict[str, list[str]]] = defaultdict(lambda: {part: [] for part in PARTS})
    for line, row in lines:
        number, speaker, part = row if len(row) == 3 else ("", "", "")
        if not re.fullmatch("[1-9][0-9]{0,5}", number) or not speaker or part not in PARTS:
            raise CorpusError(
                f"{path}, line {line}: must hold a fold's number, a speaker and one of "
                f"{', '.join(PARTS)}. Got {','.join(row)!r}. Write the folds anew."
            )
        parts[int(number)][part].append(speaker)
    folds = tuple(
        Fold(number, **{part: tuple(sorted(found)) for part, found in fold.items()})
        for number, fold in sorted(parts.items())
    )
    _refuse_uneven(folds, path)
    return folds


def _refuse_uneven(folds: tuple[Fold, ...], path: Path) -> None:
    all_speakers = {*folds[0].train, *folds[0].validation, *folds[0].test}
    for fold in folds:
        odd = all_speakers ^ {*fold.train, *fold.validation, *fold.test}
        if odd:
            raise CorpusError(
                f"{path}: each fold must hold every speaker. Got {min(odd)} in only one of fold "
                f"{folds[0].number} and fold {fold.number}. Write the folds anew."
            )
    twice = _twice([speaker for fold in folds for speaker in fold.test])
    if twice:
        raise CorpusError(
            f"{path}: each speaker must be tested in one fold only. Got {twice} in two test "
            f"parts. Write the folds anew."
        )


def _twice(speakers: Iterable[str]) -> str:
    return min((s for s, count in Counter(speakers).items() if count > 1), default="")
