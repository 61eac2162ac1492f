"""Open, list and write files at URLs such as ``s3://bucket/a.wav``, through fsspec.

Errors of every store are raised as a one-line OSError; a RunError names a missing package.
"""

import io
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from affekt.errors import RunError, first_line, writing

BUFFER = 1 << 16  # bytes
STORE_SECONDS = 60.0  # at least, between two times that a growing file is stored
STORE_SHARE = 20  # of the time, one part at most goes into storing
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)  # one letter is a drive of Windows


def is_location(name: object) -> bool:
    """Whether a name is a URL with a scheme, not a path.

    >>> is_location("s3://bucket/a.wav"), is_location("a.wav"), is_location("C:\\\\a.wav")
    (True, False, False)
    """
    return isinstance(name, str) and _SCHEME.match(name) is not None


def open_location(name: str) -> BinaryIO:
    """Open a file for reading, seekable if its store is."""
    with _store_of(name) as (store, path):
        file = store.open(path, "rb")
    return io.BufferedReader(_RemoteFile(file, name), BUFFER)


def is_folder(name: str) -> bool:
    """Return whether a location is a folder; a web address is one if it ends in a slash."""
    if name.endswith("/") or name.lower().startswith(("http:", "https:")):
        return name.endswith("/")
    with _store_of(name) as (store, path):
        return bool(store.isdir(path))


def matches(pattern: str) -> list[str]:
    """List the files that match a location with ``*``, sorted by name, without hidden files."""
    with _store_of(pattern) as (store, path):
        found = store.glob(path, detail=True)
    files = (name for name, about in found.items() if about["type"] == "file")
    shown = (name for name in files if not name.rpartition("/")[2].startswith("."))
    return sorted(map(store.unstrip_protocol, shown))


def walk(
    folder: str, onerror: Callable[[OSError], object]
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk a folder as ``os.walk`` does: yield folder, subfolders and files, sorted by name.

    Links to files are files; links to folders are left out.
    """
    base = folder.rstrip("/")
    try:
        with _store_of(folder) as (store, path):
            entries = store.ls(path, detail=True)
    except OSError as error:
        error.filename = folder
        onerror(error)
        return
    names: dict[str, list[str]] = {"directory": [], "file": []}
    for entry in entries:
        parent, _, name = entry["name"].rstrip("/").rpartition("/")
        linked = entry.get("islink") and store.isfile(entry["name"])
        kind = "file" if linked else entry["type"]
        if kind in names and name and parent == path.rstrip("/"):  # web pages link to other sites
            names[kind].append(name)
    folders, files = sorted(names["directory"]), sorted(names["file"])
    yield base, folders, files
    for name in folders:
        yield from walk(f"{base}/{name}", onerror)


@contextmanager
def local_copy(name: str, *, fetch: bool) -> Iterator[Path]:
    """Provide a local copy of a remote file, and upload it as it grows.

    It is uploaded at the start, about once a minute, and at the end. The copy starts empty, unless
    an existing file is to be fetched.

    Raises:
        RunError: the location cannot be read or written; at the end, the local file remains.
    """
    import tempfile  # slow to load, and most runs do not need it

    folder = Path(tempfile.mkdtemp(prefix="affekt-"))
    copy = folder / (name.rpartition("/")[2] or "results")
    try:
        with writing(name, RunError, "Name one that can be written."):
            copy.touch()
            with _store_of(name) as (store, path):
                if fetch and store.exists(path):
                    store.get_file(path, str(copy))
            _store(copy, name)
    except RunError:
        shutil.rmtree(folder)
        raise
    ended = threading.Event()
    storing = threading.Thread(target=_store_often, args=(copy, name, ended), daemon=True)
    storing.start()
    try:
        yield copy
    finally:
        ended.set()
        storing.join()
        with writing(name, RunError, f"The results are in {copy}."):
            _store(copy, name)
        shutil.rmtree(folder)


class _RemoteFile(io.RawIOBase):
    """A remote file that raises OSErrors only and reports whether it can seek."""

    def __init__(self, file: Any, name: str) -> None:
        self._file, self.name = file, name
        try:
            file.seek(0, io.SEEK_END)
            file.seek(0)
            self._seeks = True
        except (ValueError, OSError):  # a web server that gives no parts
            self._seeks = False

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._seeks

    def readinto(self, buffer: Any) -> int:
        with _faults(self.name):
            part = self._file.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def _store_of(name: str) -> Iterator[tuple[Any, str]]:
    """Yield the file system of a location, and its path there; its errors become OSErrors."""
    with _faults(name):
        from fsspec.core import url_to_fs

        store, path = url_to_fs(name)
        yield store, str(path)


@contextmanager
def _faults(name: str) -> Iterator[None]:
    try:
        yield
    except OSError:
        raise
    except ImportError as error:
        raise RunError(
            f"{name} cannot be reached ({first_line(error)}). Install what s3://, http:// and "
            f"https:// need with: pip install 'affekt[remote]'"
        ) from error
    except Exception as error:  # the stores' errors share no base class
        raise OSError(first_line(error)) from error


def _store(copy: Path, name: str) -> None:
    with _store_of(name) as (store, path):
        store.put_file(str(copy), path)


def _store_often(copy: Path, name: str, ended: threading.Event) -> None:
    pause = STORE_SECONDS
    while not ended.wait(pause):
        began = time.monotonic()
        with suppress(OSError):  # a lasting error is raised at the end
            _store(copy, name)
        pause = max(STORE_SECONDS, STORE_SHARE * (time.monotonic() - began))
