"""Write files that appear at their path only when they are complete."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Replace a file in one step after its new content has been written beside it.

    Args:
        path: of the file, or of a link to it, in a folder that exists. The old content stays
            until the new content is complete.

    Yields:
        A temporary path in the same folder to write to; it is deleted afterwards in any case.

    Raises:
        OSError: the file cannot be put in place.
    """
    path = path.resolve()
    part = path.with_name(f".{path.name}.part")  # hidden, so that it hides no user's file
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
