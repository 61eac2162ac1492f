"""Write files and folders that appear at their path only when they are complete and on the disk."""

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Replace a file, or what a link leads to, in one step when its new content is on the disk.

    A power cut leaves the old file or the new one, never an empty one. Yields a new file in the
    same folder to write to, with at most the permissions of the old one.

    Raises:
        OSError: the file cannot be put in place.
    """
    path = _resolved(path)
    part = _beside(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL  # a new file: no link is followed
    mode = stat.S_IMODE(path.stat().st_mode) | 0o600 if path.exists() else 0o666
    os.close(os.open(part, flags, mode))
    try:
        yield part
        _flush(part)
        part.replace(path)
        _flush(path.parent)
    finally:
        part.unlink(missing_ok=True)


def atomic_text(path: Path, text: str) -> None:
    """Replace a text file as :func:`atomic_write` does, in UTF-8 with equal line ends everywhere.

    File names that are no UTF-8 are written as they are on the disk.
    """
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8", errors="surrogateescape", newline="\n")


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Replace a folder when its new content is on the disk; yields a new folder to write to.

    Raises:
        OSError: the folder cannot be put in place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _beside(path)
    part.mkdir()
    try:
        yield part
        for each in (*part.rglob("*"), part):
            _flush(each)
        if path.exists():
            shutil.rmtree(path)
        part.rename(path)
        _flush(path.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _beside(path: Path) -> Path:
    """A new name in the same folder, which cannot be guessed."""
    # a name has at most 255 bytes, and a character up to four
    return path.with_name(f".{path.name[:50]}.{secrets.token_hex(4)}.part")


def _resolved(path: Path) -> Path:
    try:
        resolved = path.resolve()
    except RuntimeError:  # how Python below 3.13 reports a loop of links
        resolved = path
    except ValueError as error:  # a zero byte
        raise OSError(errno.EINVAL, str(error), str(path)) from error
    if resolved.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    if resolved.exists() and not (resolved.is_file() or resolved.is_dir()):
        raise OSError(errno.EINVAL, "a device or pipe, not a file", str(path))
    return resolved


def _flush(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders and writes their entries by itself
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network disks cannot flush
            raise
    finally:
        os.close(descriptor)
