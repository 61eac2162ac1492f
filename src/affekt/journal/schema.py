"""Define the tables of a journal's file, bring earlier versions up to date, and check the file."""

import re
import sqlite3
from contextlib import suppress
from datetime import date
from pathlib import Path

from affekt.errors import JournalError
from affekt.journal.connection import MARK

#: Statements that lead from each version of the schema to the next one; only ever appended to.
MIGRATIONS = (
    """
    CREATE TABLE journal (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        person TEXT NOT NULL, created TEXT NOT NULL, baseline TEXT NOT NULL
    );
    CREATE TABLE entries (
        digest TEXT PRIMARY KEY, recorded TEXT NOT NULL, name TEXT NOT NULL,
        duration REAL NOT NULL, speech REAL NOT NULL,
        label TEXT NOT NULL, probabilities TEXT NOT NULL, utterances TEXT NOT NULL,
        quality TEXT NOT NULL, reason TEXT NOT NULL,
        model TEXT NOT NULL, profile TEXT NOT NULL, note TEXT NOT NULL
    );
    CREATE INDEX by_time ON entries (recorded, digest);
    CREATE TABLE voices (
        digest TEXT PRIMARY KEY REFERENCES entries ON DELETE CASCADE,
        statistics BLOB NOT NULL, plain TEXT NOT NULL
    );
    """,
)
FIRST = "first=10"


def check_baseline(rule: str) -> str:
    """Return the rule of a baseline if it is one.

    Raises:
        JournalError: neither ``first=N`` nor ``until=DATE``.

    >>> check_baseline("until=2026-09-10")
    'until=2026-09-10'
    """
    kind, _, value = rule.partition("=")
    with suppress(ValueError):
        if kind == "until" and date.fromisoformat(value).isoformat() == value:
            return rule
    if kind == "first" and re.fullmatch(r"[1-9]\d{0,5}", value):
        return rule
    raise JournalError(
        f"the baseline must be first=N or until=YYYY-MM-DD. Got {rule}. Default: {FIRST}."
    )


def checked_version(path: Path, connection: sqlite3.Connection) -> int:
    """Return the version of an open journal's tables.

    Raises:
        JournalError: not a journal, damaged, or of a later version.
    """
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if mark != MARK:
        raise JournalError(
            f"{path} must be a journal. Got another SQLite file. Make one with affekt journal "
            f"create."
        )
    if version > len(MIGRATIONS):
        raise JournalError(
            f"{path} has version {version} and affekt reads up to {len(MIGRATIONS)}. Update affekt."
        )
    (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if state != "ok":
        state = state.splitlines()[-1]
        raise JournalError(f"{path} must be a whole journal. Got: {state}. Restore a backup.")
    return int(version)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables up to date, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for migration in MIGRATIONS[version:]:
        for statement in migration.split(";"):
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {MARK}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.execute("COMMIT")
