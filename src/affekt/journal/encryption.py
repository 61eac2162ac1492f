"""Encrypt the file of a plain journal in place."""

import os
import sqlite3
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from affekt.atomic_write import atomic_write
from affekt.errors import JournalError, writing
from affekt.journal.connection import BUSY_SECONDS, PLAIN, check_new, connect, faults, first_bytes
from affekt.journal.store import open_journal


def encrypt_journal(path: Path, passphrase: str) -> None:
    """Replace a plain journal by an encrypted one with the same content.

    The encrypted file takes the place of the plain one in a single step. Then the bytes of the
    plain file, and of the write-ahead log of a command that was killed, are overwritten with zeros.
    No other program may have the journal open.

    Raises:
        JournalError: no such journal, an encrypted or an open one, a passphrase of fewer than 8
            characters, or a full disk. The plain file is kept.
        ModuleNotFoundError: without the extra ``journal``.

    Source: SQLCipher, ``sqlcipher_export``.
    """
    from sqlcipher3.dbapi2 import connect as cipher_connect

    if first_bytes(path) != PLAIN:
        raise JournalError(
            f"{path} must be a plain journal. Got an encrypted one, or no journal. Name another."
        )
    check_new(passphrase)
    file = path.resolve()
    files = [file, *(file.with_name(f"{file.name}{end}") for end in ("-wal", "-shm"))]
    remedy = "Free space on the disk, or give yourself permission to write the file and its folder."
    with writing(path, JournalError, remedy, done="encrypted"), faults(path), ExitStack() as opened:
        with open_journal(path):  # proves that it is a journal; its log exists until it closes
            old = [opened.enter_context(each.open("r+b")) for each in files if each.exists()]
        plain = cipher_connect(file, isolation_level=None, timeout=BUSY_SECONDS)
        opened.callback(plain.close)
        # lock the file until it is closed, or fail while another program has it open
        (mode,) = plain.execute("PRAGMA journal_mode = DELETE").fetchone()  # removes the log
        if mode != "delete":
            raise sqlite3.OperationalError("database is locked")
        plain.execute("PRAGMA locking_mode = EXCLUSIVE")
        plain.execute("BEGIN EXCLUSIVE")
        plain.execute("COMMIT")
        with atomic_write(path) as part:
            part.chmod(0o600)
            _export(plain, part, passphrase)
        for each in old:
            each.write(bytes(os.fstat(each.fileno()).st_size))
            each.flush()
            os.fsync(each.fileno())


def _export(plain: Any, part: Path, passphrase: str) -> None:
    plain.execute("ATTACH DATABASE ? AS encrypted KEY ?", (str(part), passphrase))
    plain.execute("SELECT sqlcipher_export('encrypted')")
    for name in ("application_id", "user_version"):  # which an export leaves out
        (number,) = plain.execute(f"PRAGMA main.{name}").fetchone()
        plain.execute(f"PRAGMA encrypted.{name} = {number}")
    plain.execute("DETACH DATABASE encrypted")
    encrypted = connect(part, passphrase)
    encrypted.execute("PRAGMA journal_mode = WAL")
    encrypted.close()
