"""Store a person's entries, voice statistics and baseline in one SQLite file.

Each change is one transaction. The profile is computed from the voice statistics of the entries in
the baseline, and the baseline from their dates, so neither depends on the order of adding.
"""

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from affekt.atomic_write import atomic_write
from affekt.errors import JournalError, writing
from affekt.journal.connection import check_new, connect, faults
from affekt.journal.entry import COLUMNS, Entry, Voice, check_text
from affekt.journal.schema import FIRST, MIGRATIONS, check_baseline, checked_version, migrate

_JSON = ("probabilities", "utterances", "quality")
_PREDICTED = tuple(c for c in COLUMNS if c not in ("digest", "recorded", "name", "note"))


class Journal(AbstractContextManager["Journal"]):
    """An open journal; one thread may use it. Close it, or use it as a context manager."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self._connection = path, connection

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        with faults(self.path):
            self._connection.close()

    @property
    def person(self) -> str:
        """Name of the person, as given at creation."""
        return str(self._run("SELECT person FROM journal")[0][0])

    @property
    def baseline(self) -> str:
        """The rule of the baseline: ``first=N`` or ``until=DATE``."""
        return str(self._run("SELECT baseline FROM journal")[0][0])

    def choose_baseline(self, rule: str) -> None:
        """Change the baseline. Voice statistics of entries that leave it are deleted.

        Raises:
            JournalError: an unknown rule.
        """
        with self._transaction():
            self._run("UPDATE journal SET baseline = ?", check_baseline(rule))
            self._forget_voices()

    def entries(self) -> list[Entry]:
        """All entries, by time."""
        rows = self._run(f"SELECT {', '.join(COLUMNS)} FROM entries ORDER BY recorded, digest")
        return [_entry(row) for row in rows]

    def digests(self) -> set[str]:
        """The digest of every entry."""
        return {str(row[0]) for row in self._run("SELECT digest FROM entries")}

    def baseline_digests(self) -> list[str]:
        """Digests of the entries with an emotion that the baseline's rule selects, by time."""
        kind, _, value = self.baseline.partition("=")
        query = "SELECT digest FROM entries WHERE reason = ''"
        if kind == "until":
            query += " AND substr(recorded, 1, 10) <= ? ORDER BY recorded, digest"
        else:
            query += " ORDER BY recorded, digest LIMIT ?"
        return [str(row[0]) for row in self._run(query, value)]

    def voices(self) -> dict[str, Voice]:
        """Voice statistics of the entries in the baseline that have some, by digest."""
        rows = self._run("SELECT digest, statistics, plain FROM voices ORDER BY digest")
        return {str(digest): Voice(content, json.loads(plain)) for digest, content, plain in rows}

    def would_be_baseline(self, recorded: str, digest: str) -> bool:
        """Whether an entry of this time would be in the baseline."""
        kind, _, value = self.baseline.partition("=")
        if kind == "until":
            return recorded[:10] <= value
        before = "SELECT count(*) FROM entries WHERE reason = '' AND (recorded, digest) < (?, ?)"
        return int(self._run(before, recorded, digest)[0][0]) < int(value)

    def add(self, entry: Entry, voice: Voice | None) -> bool:
        """Add an entry, and its voice statistics if it is in the baseline, in one step.

        Returns False if the recording is in the journal already, which stays as it is.
        """
        with self._transaction():
            if self._run("SELECT 1 FROM entries WHERE digest = ?", entry.digest):
                return False
            values = f"({', '.join(COLUMNS)}) VALUES (:{', :'.join(COLUMNS)})"
            self._run(f"INSERT INTO entries {values}", **_row(entry))
            if voice:
                self._set_voice(entry.digest, voice)
            self._forget_voices()
        return True

    def update(self, entry: Entry) -> None:
        """Replace the prediction of an entry; its date, name and note stay."""
        setting = ", ".join(f"{column} = :{column}" for column in _PREDICTED)
        with self._transaction():
            self._run(f"UPDATE entries SET {setting} WHERE digest = :digest", **_row(entry))
            self._forget_voices()  # it may have become uncertain

    def set_voice(self, digest: str, voice: Voice) -> None:
        """Replace the voice statistics of an entry, if it is in the baseline."""
        with self._transaction():
            self._set_voice(digest, voice)
            self._forget_voices()

    def remove(self, digests: Collection[str]) -> None:
        """Delete entries, overwrite their bytes, and shrink the file.

        Raises:
            JournalError: another program has the file open; the entries are deleted, their bytes
                are not yet overwritten.
        """
        with self._transaction():
            for digest in digests:
                self._run("DELETE FROM entries WHERE digest = ?", digest)
            self._forget_voices()
        self._run("VACUUM")
        if self._run("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]:
            raise JournalError(
                f"{self.path} is in use by another program: the entries are deleted, and their "
                f"bytes are still in the file. Close it and run affekt journal refresh {self.path}."
            )

    def _set_voice(self, digest: str, voice: Voice) -> None:
        found = "SELECT digest, ?, ? FROM entries WHERE digest = ?"  # nothing if it was removed
        self._run(f"REPLACE INTO voices {found}", voice.statistics, json.dumps(voice.plain), digest)

    def _forget_voices(self) -> None:
        kept = json.dumps(self.baseline_digests())
        self._run("DELETE FROM voices WHERE digest NOT IN (SELECT value FROM json_each(?))", kept)

    def _run(self, statement: str, *values: object, **named: object) -> list[Any]:
        with faults(self.path):
            return self._connection.execute(statement, named or values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with faults(self.path), self._connection:  # which commits, or rolls back
            self._connection.execute("BEGIN IMMEDIATE")
            yield


def create_journal(
    path: Path, *, person: str = "", baseline: str = FIRST, passphrase: str | None = None
) -> None:
    """Make an empty journal that only its owner may read.

    Args:
        baseline: ``first=N`` entries, or all ``until=DATE``.
        passphrase: of 8 characters or more; None for a file that is not encrypted.

    Raises:
        JournalError: the file exists or cannot be written, an unknown baseline, or a short
            passphrase.
        ModuleNotFoundError: a passphrase without the extra ``journal``.
    """
    check_baseline(baseline)
    check_text(person, "the person's name")
    if passphrase is not None:
        check_new(passphrase)
    if path.exists():
        raise JournalError(f"{path} exists. Add recordings to it, or name another file.")
    for log in (Path(f"{path.resolve()}{end}") for end in ("-wal", "-journal")):
        if log.exists():  # its entries would be in the new journal
            raise JournalError(
                f"{log} must not exist. Got what a killed command left of a deleted journal. "
                f"Delete it, or name another file."
            )
    with writing(path, JournalError), atomic_write(path) as part:
        part.chmod(0o600)
        connection = connect(part, passphrase)
        with faults(path):
            migrate(connection)
            connection.execute(
                "INSERT INTO journal VALUES (1, ?, ?, ?)",
                (_utf8(person), datetime.now(UTC).date().isoformat(), baseline),
            )
            connection.execute("PRAGMA journal_mode = WAL")
            connection.close()


def open_journal(path: Path, *, passphrase: str | None = None, write: bool = True) -> Journal:
    """Open a journal, and bring a file of an earlier version up to date.

    Raises:
        JournalError: no such file, damaged, of a later version, encrypted, or a wrong passphrase.
    """
    connection = connect(path, passphrase, write=write)
    try:
        with faults(path):
            if checked_version(path, connection) < len(MIGRATIONS):
                migrate(connection)
            connection.execute(f"PRAGMA query_only = {not write}")
    except BaseException:
        connection.close()
        raise
    return Journal(path, connection)


def _row(entry: Entry) -> dict[str, object]:
    values = {name: getattr(entry, name) for name in COLUMNS}
    values |= {name: _utf8(values[name]) for name in ("name", "note")}
    return values | {name: json.dumps(values[name]) for name in _JSON}


def _utf8(text: str) -> str:
    """Replace what is no UTF-8, as in some file names: SQLite refuses it."""
    return text.encode(errors="replace").decode()


def _entry(row: Sequence[Any]) -> Entry:
    values = dict(zip(COLUMNS, row, strict=True))
    return Entry(**values | {name: json.loads(values[name]) for name in _JSON})
