"""Define the errors that users can cause.

Every message is one line: what, where, allowed values, value found, and remedy.
Each child is also the built-in error that a caller would expect, so that
``except ValueError`` and ``except AffektError`` both work.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

_SHORTAGES = {  # in messages of Python and of libraries: what is needed, and the remedy
    r"bad_alloc|allocate (memory|\d)|MemoryError|enough memory|failed to map segment|"
    r"start new thread|Too many open files": (
        "more memory, threads or open files",
        "Close other programs, raise its limits, or do fewer things at a time.",
    ),
    "home directory": ("the user's home folder", "Set HOME to a folder."),
    "^FileNotFoundError: .* file or directory$": (  # without a name
        "a current folder that exists",
        "Change to another folder.",
    ),
    "temporary directory": ("a folder for temporary files", "Set TMPDIR to one with free space."),
}


class AffektError(Exception):
    """Base class of all errors that users can cause; its message is one line."""


class AudioError(AffektError, ValueError):
    """A sound that is missing, unreadable, empty, too long, or not a sound."""


class CorpusError(AffektError, ValueError):
    """A corpus, manifest or split that is invalid or inconsistent."""


class RecipeError(AffektError, ValueError):
    """A recipe with an unknown knob, or a value outside a knob's range."""


class LabelError(AffektError, ValueError):
    """Labels that do not fit the task they are scored on."""


class ModelError(AffektError, ValueError):
    """Weights or a model file that are missing, changed, or not made by affekt."""


class RunError(AffektError, OSError):
    """An experiment or job that cannot continue: disk, worker, or folder."""


class JournalError(AffektError, ValueError):
    """A journal that is missing, damaged, encrypted, in use, or cannot be written."""


@contextmanager
def writing(
    path: object,
    error: type[AffektError],
    remedy: str = "Name another file.",
    *,
    done: str = "written",
) -> Iterator[None]:
    """Turn an OSError into an error of one line, while a file or folder is written.

    The message names the path, what cannot be ``done`` with it, the reason, and the remedy.

    Raises:
        AffektError: ``error``, if the disk or its permissions do not allow it.
    """
    try:
        yield
    except AffektError:  # some are OSErrors too
        raise
    except OSError as fault:
        reason = fault.strerror or first_line(fault)
        raise error(f"{path} cannot be {done}: {reason}. {remedy}") from fault


@contextmanager
def needing_extra(extra: str, what: str) -> Iterator[None]:
    """Raise a ModuleNotFoundError that names the extra with a missing package of a function."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        message = f"{what} needs {package}. Install it with: pip install 'affekt[{extra}]'"
        raise ModuleNotFoundError(message, name=package) from error


def shortage(error: BaseException) -> str:
    """Say in one line what the machine lacks, if that is the cause of an error; else nothing.

    >>> shortage(RuntimeError("can't start new thread")).partition(". ")[0]
    'the program needs more memory, threads or open files'
    """
    text = f"{type(error).__name__}: {error}"
    for pattern, (need, remedy) in _SHORTAGES.items():
        if re.search(pattern, text):
            got = " ".join(text.split()).rstrip(":.")
            return f"the program needs {need}. Got: {got}. {remedy}"
    return ""


def first_line(error: Exception) -> str:
    """Return the first line of a message without its dot, or the error's type without message."""
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__
