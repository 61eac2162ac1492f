"""Open local and remote files for reading, and report failures in one line."""

import stat
from pathlib import Path
from typing import BinaryIO

from affekt.audio.pcm import empty
from affekt.errors import AudioError, RunError
from affekt.locations import is_location, open_location


def open_file(path: str | Path, name: str) -> BinaryIO:
    """Open a file, or a location such as ``s3://bucket/a.wav``; messages call it ``name``.

    Raises:
        AudioError: missing, forbidden, out of reach, or not a file.
    """
    try:
        if isinstance(path, str) and is_location(path):
            return open_location(path)
        found = Path(path).stat()
        if stat.S_ISREG(found.st_mode) and found.st_size:
            return Path(path).open("rb")
    except RunError as error:
        raise AudioError(str(error)) from error
    except FileNotFoundError as error:
        further = ", or cannot be reached" if is_location(str(path)) else ""
        raise AudioError(f"{name} does not exist{further}. Check the path.") from error
    except PermissionError as error:
        raise AudioError(f"{name} may not be read. Give yourself permission to read it.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioError(f"{name} cannot be opened: {reason}. Check the path.") from error
    if stat.S_ISREG(found.st_mode):  # also files of the system without a size, some without an end
        raise empty(name)
    if stat.S_ISDIR(found.st_mode):
        raise AudioError(f"{name} is a folder, not a sound. Name the files in it.")
    raise AudioError(f"{name} is a pipe or device, not a file. Use standard input.")
