"""Find the sound files in a folder, at any depth."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from affekt.errors import AudioError

#: Suffixes of the files that are taken from a folder; a file that is named may have any other.
SUFFIXES = frozenset(
    {".3gp", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".au", ".avi", ".caf", ".flac"}
    | {".m4a", ".m4b", ".mka", ".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".oga", ".ogg", ".opus"}
    | {".rf64", ".snd", ".spx", ".tta", ".w64", ".wav", ".wave", ".webm", ".wma", ".wv"}
)
SKIPPED = "__MACOSX"  # folder that macOS leaves in archives

Visited = tuple[str, list[str], list[str]]  # folder, its folders, its files, as of os.walk


def sound_names(visited: Iterable[Visited]) -> Iterator[tuple[str, str]]:
    """Yield folder and name of each sound file of a walk, sorted by name within a folder.

    Hidden folders are pruned from ``visited``.
    """
    for folder, folders, names in visited:
        folders[:] = sorted(n for n in folders if not n.startswith(".") and n != SKIPPED)
        for name in sorted(names):
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                yield folder, name


def walk_folders(folder: str, on_error: Callable[[OSError], object]) -> Iterator[Visited]:
    """Walk as ``os.walk``, into linked folders too, but into none twice.

    Linked folders come last, so that a folder that is also linked to keeps its own path.
    """
    seen, pending = set(), [folder]
    while pending:
        for place, folders, names in os.walk(pending.pop(0), onerror=on_error):
            status = Path(place).stat()
            if (status.st_dev, status.st_ino) in seen:
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            yield place, folders, names
            pending += [str(Path(place, n)) for n in folders if Path(place, n).is_symlink()]


def sound_files(folder: str | Path) -> tuple[str, ...]:
    """List the sound files of a folder at any depth: POSIX paths relative to it, sorted.

    Raises:
        AudioError: the folder is missing or cannot be searched.
    """
    if not Path(folder).is_dir():
        raise AudioError(f"{folder} must be a folder. Got none. Name an existing folder.")

    def refuse(error: OSError) -> None:
        raise AudioError(
            f"{error.filename} cannot be searched: {error.strerror}. Check its permissions."
        ) from error

    found = sound_names(walk_folders(str(folder), refuse))
    return tuple(sorted(Path(place, n).relative_to(folder).as_posix() for place, n in found))
