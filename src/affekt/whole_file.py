"""Files that are whole as soon as they are there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Where to write what is to stand at a path once all of it is written.

    Args:
        path: of the file, or of a link to it; its folder is there. What stood there stays until
            then.

    Yields:
        A path beside it, which is gone afterwards, whatever happens.

    Raises:
        OSError: it cannot be put in place.
    """
    path = path.resolve()
    part = path.with_name(f".{path.name}.part")  # hidden: no name that a user would have taken
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
