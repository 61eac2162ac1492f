"""Open the SQLite file of a journal, plain or encrypted, and report faults in one line.

An encrypted journal is a SQLCipher database: every page, of the write-ahead log too, is encrypted
with AES-256, by a key derived from the passphrase.
"""

import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from affekt.errors import JournalError, writing

PLAIN = b"SQLite format 3\0"  # first bytes of a database that is not encrypted
PASSPHRASE = re.compile("[^\0\ud800-\udfff]+")
SHORTEST = 8  # characters of a new passphrase (NIST SP 800-63B, section 5.1.1.1)
MARK = 0x6166666B  # application id of a journal
BUSY_SECONDS = 30.0  # that one process waits for another
SETTINGS = (
    "foreign_keys = ON",
    "secure_delete = ON",
    "synchronous = FULL",  # a committed entry survives a power cut
)


def connect(path: Path, passphrase: str | None, *, write: bool = True) -> sqlite3.Connection:
    """Open a database in autocommit mode.

    Args:
        path: of the file; created if it is empty and ``write`` is set.
        passphrase: of an encrypted file; None for a plain one.
        write: whether it will be changed.

    Raises:
        JournalError: no such file, not a database, or a passphrase that does not open it.
        ModuleNotFoundError: a passphrase without the extra ``journal``.
    """
    start = first_bytes(path)
    if start not in (b"", PLAIN) and passphrase is None:
        raise JournalError(
            f"{path} is encrypted, or no journal. Give its passphrase on a terminal, or in "
            f"AFFEKT_PASSPHRASE."
        )
    if start == PLAIN:
        passphrase = None
    if passphrase is not None and not PASSPHRASE.fullmatch(passphrase):
        raise JournalError("the passphrase must be UTF-8 of at least one character. Enter another.")
    try:
        return _opened(path, passphrase, write)
    except _errors() as error:
        if passphrase is not None and "not a database" in str(error):
            raise JournalError(
                f"{path} must be opened with its own passphrase. Got another one, or the file is "
                f"damaged. Check the passphrase, or restore a backup."
            ) from error
        raise _fault(path, error) from error


def check_new(passphrase: str) -> None:
    """Raise a JournalError unless a new passphrase has 8 characters or more, all of UTF-8."""
    short = len(passphrase) < SHORTEST
    if short or not PASSPHRASE.fullmatch(passphrase):
        got = len(passphrase) if short else "a null character, or bytes that are not UTF-8"
        raise JournalError(
            f"a new passphrase must be UTF-8 of at least {SHORTEST} characters. Got {got}. "
            f"Choose another."
        )


def first_bytes(path: Path) -> bytes:
    """Read the first 16 bytes of a journal's file; raise a JournalError if that fails."""
    remedy = "Check its name and permissions, or make it with affekt journal create."
    with writing(path, JournalError, remedy, done="read"), path.open("rb") as file:
        return file.read(len(PLAIN))


def _opened(path: Path, passphrase: str | None, write: bool) -> sqlite3.Connection:
    connect: Any = sqlite3.connect
    if passphrase is not None:
        from sqlcipher3.dbapi2 import connect
    path = path.resolve()
    log = Path(f"{path}-wal")
    needs_log = write or (log.exists() and log.stat().st_size > 0)
    uri = f"{path.as_uri()}?mode=rw"  # a connection with mode=ro leaves its log behind
    try:
        return _prepared(connect, uri, passphrase)
    except _errors() as error:
        if needs_log or "locked" in str(error):
            raise
        # no log can be made: the folder cannot be written, or its disk is full
        return _prepared(connect, f"{uri}&immutable=1", passphrase)


def _prepared(connect: Any, uri: str, passphrase: str | None) -> sqlite3.Connection:
    connection: sqlite3.Connection = connect(
        uri, uri=True, isolation_level=None, timeout=BUSY_SECONDS
    )
    try:
        if passphrase is not None:
            quoted = passphrase.replace("'", "''")
            connection.execute("PRAGMA cipher_log_level = NONE")  # it prints to standard error
            connection.execute(f"PRAGMA key = '{quoted}'")
        for setting in SETTINGS:
            connection.execute(f"PRAGMA {setting}")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def faults(path: Path) -> Iterator[None]:
    """Turn errors of the database, such as a damaged file or a full disk, into JournalErrors."""
    try:
        yield
    except _errors() as error:
        raise _fault(path, error) from error


def _errors() -> tuple[type[Exception], ...]:
    """Errors of the databases that are loaded; SQLCipher has its own."""
    cipher = sys.modules.get("sqlcipher3.dbapi2")
    return (sqlite3.Error, cipher.Error) if cipher else (sqlite3.Error,)


def _fault(path: Path, error: Exception) -> JournalError:
    reason = str(error)
    if "locked" in reason:
        return JournalError(
            f"{path} is in use by another program for more than {BUSY_SECONDS:.0f} s. "
            f"Close it and repeat the command."
        )
    if "full" in reason or "disk I/O" in reason:
        return JournalError(
            f"{path} cannot be written: {reason}. Earlier entries are kept. Free space on the "
            f"disk and repeat the command."
        )
    if "readonly" in reason or "unable to open" in reason:
        return JournalError(
            f"{path} cannot be opened for writing: {reason}. Give yourself permission to write "
            f"the file and its folder."
        )
    return JournalError(f"{path} must be a whole journal. Got: {reason}. Restore a backup.")
