"""Files and folders to predictions, all cores at work, in the order they were named.

Threads, not processes: decoding, resampling and the graph all leave the interpreter free, so that
threads share one loaded model. Files are found as they are needed and few results wait at a time,
so memory does not grow with their number.
"""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from affekt.audio.reading import SUFFIXES, Source
from affekt.errors import AffektError, AudioError
from affekt.inference.predictor import Prediction, Predictor

if TYPE_CHECKING:
    from affekt.inference.timeline import Utterance, Watch

AHEAD = 8  # files a worker may be ahead of the oldest one that is not done
STDIN = "-"


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that has no prediction, and why: one line."""

    file: str
    error: str


def predict_files(
    predictor: Predictor, paths: Sequence[str], *, jobs: int | None = None
) -> Iterator[Prediction | Failure]:
    """Name the emotion of many recordings.

    Args:
        predictor: the loaded model.
        paths: files of any suffix; folders, searched for audio files at any depth; ``-`` for a
            recording on standard input.
        jobs: files at a time, at least 1; one a core by default.

    Yields:
        One result a file, in the order of ``paths`` and by name within a folder. A bad file is a
        :class:`Failure` and never stops the rest.
    """
    jobs = jobs or _cores()
    found = find_files(paths)
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="affekt")
    try:
        waiting = deque(_submitted(pool, predictor, islice(found, AHEAD * jobs)))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(_submitted(pool, predictor, islice(found, 1)))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def timeline_files(
    predictor: Predictor, paths: Sequence[str], *, watch: "Callable[[str], Watch]"
) -> "Iterator[Utterance | Failure]":
    """Name the emotion of every utterance of recordings, one recording after the other.

    Args:
        predictor: the loaded model.
        paths: as for :func:`predict_files`.
        watch: called with each file; what it returns is called with every block heard of it.

    Yields:
        Utterances as they are heard. A bad file is a :class:`Failure`, after what could be heard
        of it, and never stops the rest.
    """
    for file in find_files(paths):
        if isinstance(file, Failure):
            yield file
            continue
        try:
            for utterance in predictor.timeline(_source(file), watch=watch(file)):
                yield replace(utterance, file=file)
        except Exception as error:
            yield _failure(file, error)


def find_files(paths: Sequence[str]) -> Iterator[str | Failure]:
    """Name every file that :func:`predict_files` takes from ``paths``, as it finds them."""
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 -- Path.is_dir raises on names that are too long
            yield from _in_folder(path)
        else:
            yield path


def sound_files(paths: Sequence[str]) -> Iterator[str]:
    """As :func:`find_files`, but where a file cannot be named nothing goes on.

    Raises:
        AudioError: a folder that cannot be searched or holds no audio file.
    """
    for file in find_files(paths):
        if isinstance(file, Failure):
            raise AudioError(file.error)
        yield file


def _cores() -> int:
    """Cores that this process may use: in a container, fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _in_folder(folder: str) -> Iterator[str | Failure]:
    """Audio files by name; hidden ones, such as macOS leaves behind, are none."""
    closed: list[OSError] = []
    files = 0
    for place, folders, names in os.walk(folder, onerror=closed.append):
        folders.sort()
        for name in sorted(names):
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                files += 1
                yield str(Path(place, name))
    for error in closed:
        yield Failure(
            str(error.filename), f"{error.filename} cannot be searched: {error.strerror}."
        )
    if not files and not closed:
        yield Failure(folder, f"{folder} holds no audio file. Name files, or a folder with some.")


def _submitted(
    pool: ThreadPoolExecutor, predictor: Predictor, files: Iterable[str | Failure]
) -> Iterator[Future[Prediction | Failure]]:
    return (pool.submit(_predicted, predictor, file) for file in files)


def _predicted(predictor: Predictor, file: str | Failure) -> Prediction | Failure:
    if isinstance(file, Failure):
        return file
    try:
        return replace(predictor.predict(_source(file)), file=file)
    except Exception as error:
        return _failure(file, error)


def _source(file: str) -> Source:
    return sys.stdin.buffer if file == STDIN else file


def _failure(file: str, error: Exception) -> Failure:
    """What went wrong; a fault of ours must not cost the other files their results."""
    if isinstance(error, AffektError):
        return Failure(file, str(error))
    return Failure(file, f"{file} met a fault in affekt: {error!r}. Please report it.")
