"""Define the errors that users can cause.

Every message is one line: what, where, what is allowed, what came, and the remedy.
Each child is also the built-in error that a caller would expect, so that
``except ValueError`` and ``except AffektError`` both work.
"""


class AffektError(Exception):
    """Anything that affekt refuses to do; the message is one line for people."""


class AudioError(AffektError, ValueError):
    """A sound that is missing, unreadable, empty, too long, or not a sound."""


class CorpusError(AffektError, ValueError):
    """A corpus, manifest or split that is not what it claims to be."""


class RecipeError(AffektError, ValueError):
    """A recipe with an unknown knob, or a value outside a knob's range."""


class LabelError(AffektError, ValueError):
    """Labels that do not fit the task they are scored on."""


class ModelError(AffektError, ValueError):
    """Weights or a model file that are missing, changed, or of another make."""


class RunError(AffektError, OSError):
    """An experiment or a job that cannot go on: disk, worker, or folder."""
