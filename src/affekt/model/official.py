"""Google's two files of YAMNet's weights: where they are, if they are unchanged, how to get them.

A file counts only if it is bit for bit the published one. The folder named by ``AFFEKT_WEIGHTS``
is looked in first, then the user's cache, which is where downloads go.

Source: YAMNet's README (tensorflow/models, audioset, Apache-2.0); MediaPipe's audio classifier.
"""

import hashlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from affekt.errors import ModelError

if TYPE_CHECKING:
    from rich.progress import Progress


@dataclass(frozen=True)
class Published:
    """What is known of an official file: SHA-256, hexadecimal, and address."""

    digest: str
    address: str


#: ``yamnet.tflite`` is the smaller; ``yamnet.h5`` is what the paper's authors had.
OFFICIAL: dict[str, Published] = {
    "yamnet.tflite": Published(
        "10c95ea3eb9a7bb4cb8bddf6feb023250381008177ac162ce169694d05c317de",
        "https://storage.googleapis.com/mediapipe-models/audio_classifier/yamnet/float32/1/yamnet.tflite",
    ),
    "yamnet.h5": Published(
        "13c3308955bbfaef262f175ac9c40e47b134573a93984f009220dd7cc12a1744",
        "https://storage.googleapis.com/audioset/yamnet.h5",
    ),
}


def folders() -> tuple[Path, ...]:
    """Where weights are looked for, in this order: ``AFFEKT_WEIGHTS``, then the user's cache."""
    import pooch

    named = os.environ.get("AFFEKT_WEIGHTS")
    return (*((Path(named),) if named else ()), Path(pooch.os_cache("affekt")))


def find(name: str = "yamnet.tflite", path: Path | str | None = None) -> Path:
    """The file of YAMNet's weights.

    Args:
        name: a key of :data:`OFFICIAL`.
        path: the file, or its folder; ``None`` looks in :func:`folders`.

    Returns:
        Where it is; whether it is unchanged is for :func:`check_digest` to say.

    Raises:
        ModelError: none is there, or no such name.
    """
    published = _published(name)
    places = (Path(path),) if path is not None else folders()
    for place in places:
        for candidate in (place, place / name):
            if candidate.name == name and candidate.is_file():
                return candidate
    raise ModelError(
        f"YAMNet's weights, {name}, must be in one of the places looked in. "
        f"Got none in {', '.join(map(str, places))}. Run `affekt weights --download {name}`, or "
        f"copy the file there from {published.address}."
    )


def check_digest(file: Path) -> None:
    """Refuse a file that is not bit for bit the official one of its name.

    Raises:
        ModelError: another name, another digest, or a file that cannot be read.
    """
    published = _published(file.name)
    digest = _digest(file)
    if digest != published.digest:
        raise ModelError(
            f"{file} must have the published SHA-256 {published.digest}. Got {digest}. "
            f"Delete it and run `affekt weights --download {file.name}`."
        )


@dataclass(frozen=True)
class Found:
    """One place where an official file may be.

    Attributes:
        file: where it would be.
        state: ``official`` if it is bit for bit the published one, ``changed``, or ``missing``.
        bytes: its size; 0 if it is missing.
    """

    file: Path
    state: str
    bytes: int


def survey(name: str | None = None) -> Iterator[Found]:
    """What is in each of :func:`folders`.

    Args:
        name: a key of :data:`OFFICIAL`; all of them by default.

    Raises:
        ModelError: no such name.
    """
    for each in OFFICIAL if name is None else (name,):
        published = _published(each)
        for folder in folders():
            file = folder / each
            if file.is_file():
                state = "official" if _digest(file) == published.digest else "changed"
                yield Found(file, state, file.stat().st_size)
            else:
                yield Found(file, "missing", 0)


def download(name: str = "yamnet.tflite") -> Path:
    """Fetch the official file into the user's cache, unless it is there unchanged.

    Args:
        name: a key of :data:`OFFICIAL`.

    Returns:
        Where it now is.

    Raises:
        ModelError: the machine is offline, or another file came; the cache stays as it was.
    """
    import pooch
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TimeRemainingColumn

    published = _published(name)
    pooch.get_logger().setLevel(logging.WARNING)  # the bar says it all
    columns = (*Progress.get_default_columns()[:-1], DownloadColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    shown = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    try:
        with shown as progress:
            file = pooch.retrieve(
                published.address,
                known_hash=f"sha256:{published.digest}",
                fname=name,
                path=folders()[-1],
                progressbar=_Bar(progress, name),
            )
    except OSError as error:
        raise ModelError(
            f"{name} must be reachable at {published.address}. Got {type(error).__name__}. Fetch "
            f"it on a machine that is online and name its folder in AFFEKT_WEIGHTS."
        ) from error
    except ValueError as error:  # pooch's word for another digest
        raise ModelError(
            f"{name} from {published.address} must have SHA-256 {published.digest}. "
            f"Got another file, which was not kept. Try again, or from another network."
        ) from error
    return Path(file)


class _Bar:
    """What pooch asks of a progress bar, drawn by rich."""

    total: int | None = None  # bytes to come; pooch sets it

    def __init__(self, progress: "Progress", name: str) -> None:
        self._progress = progress
        self._task = progress.add_task(name, total=None)

    def update(self, count: int) -> None:
        self._progress.update(self._task, advance=count, total=self.total)

    def reset(self) -> None:
        self._progress.reset(self._task)

    def close(self) -> None:
        """Whoever opened the progress closes it, whatever happens."""


def _published(name: str) -> Published:
    if name not in OFFICIAL:
        raise ModelError(f"weights must be one of {', '.join(OFFICIAL)}. Got {name!r}.")
    return OFFICIAL[name]


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{file} must be readable. Got {error.strerror}.") from error
