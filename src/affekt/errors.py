"""Define the errors that users can cause.

Every message is one line: what, where, allowed values, value found, and remedy.
Each child is also the built-in error that a caller would expect, so that
``except ValueError`` and ``except AffektError`` both work.
"""

from collections.abc import Iterator
from contextlib import contextmanager


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
    path: object, error: type[AffektError], remedy: str = "Name another file."
) -> Iterator[None]:
    """Turn an OSError into an error of one line, while a file or folder is written.

    Raises:
        AffektError: ``error``, if the disk or its permissions do not allow it.
    """
    try:
        yield
    except AffektError:  # some are OSErrors too
        raise
    except OSError as fault:
        reason = fault.strerror or fault
        raise error(f"{path} cannot be written: {reason}. {remedy}") from fault
