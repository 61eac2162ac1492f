"""Find files in folders and remote locations, and predict them or their timelines.

Files are searched as needed, so memory does not grow with their number.
"""

import os
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, Unpack

import numpy as np
from numpy.typing import NDArray

from affekt.audio.reading import Channel
from affekt.audio.sound_files import SUFFIXES, Visited, sound_names, walk_folders
from affekt.audio.sources import Source
from affekt.errors import AffektError, shortage
from affekt.inference.options import SpeakerOptions
from affekt.inference.parallel import in_order
from affekt.inference.prediction import Prediction
from affekt.inference.predictor import Predictor
from affekt.inference.speakers.speech_embedding import VoiceSample
from affekt.inference.timelines.timeline import Utterance, Watch
from affekt.locations import is_folder, is_location, matches, walk

STDIN = "-"
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Failure:
    """A file without prediction, and its one-line error."""

    file: str
    error: str

    def as_dict(self) -> dict[str, str]:
        """The fields as ``affekt predict --json`` prints them."""
        return {"file": self.file, "error": self.error}


def predict_files(
    predictor: Predictor,
    paths: Sequence[str],
    *,
    jobs: int | None = None,
    skip: Container[str] = (),
) -> Iterator[Prediction | Failure]:
    """Predict many recordings.

    Args:
        predictor: the loaded model.
        paths: files of any suffix; folders, searched for audio files at any depth; locations of
            either, such as ``s3://bucket/folder/``, also with ``*``; ``-`` for a recording on
            standard input.
        jobs: files at a time, at least 1; one a core by default.
        skip: files to leave out.

    Returns:
        One result a file, in the order of ``paths`` and by name within a folder. A bad file is a
        :class:`Failure` and never stops the rest.
    """
    return in_order(predictor, predicted, find_files(paths, skip=skip), jobs=jobs)


def predicted(predictor: Predictor, file: str | Failure) -> Prediction | Failure:
    """Predict one file as :func:`predict_files` does."""
    return _attempt(file, lambda name: replace(predictor.predict(_source(name)), file=name))


def embed_files(
    predictor: Predictor, paths: Sequence[str], *, jobs: int | None = None
) -> Iterator[tuple[str, NDArray[np.float32]] | Failure]:
    """Compute file and embedding ``(features,)`` of many recordings, as :func:`predict_files`."""
    return in_order(predictor, _embedded, find_files(paths), jobs=jobs)


def _embedded(
    predictor: Predictor, file: str | Failure
) -> tuple[str, NDArray[np.float32]] | Failure:
    return _attempt(file, lambda name: (name, predictor.embed(_source(name))))


def timeline_files(
    predictor: Predictor,
    paths: Sequence[str],
    *,
    watch: Callable[[str], Watch],
    note: Callable[[str], None],
    channel: Channel = None,
    **speakers: Unpack[SpeakerOptions],
) -> Iterator[Utterance | Failure]:
    """Predict every utterance of recordings, one recording after the other.

    A bad file is a :class:`Failure` after its readable part, and never stops the rest.

    Args:
        predictor: the loaded model; ``paths`` are as for :func:`predict_files`.
        watch: called with each file; its result is called with every block of the file.
        note: called with a line about each file that may hold several voices, if speakers are not
            distinguished.
        channel: as for :meth:`affekt.Predictor.timeline`; so are ``speakers``.
    """
    distinguished = channel == "each" or speakers.get("speakers") is not None
    for file in find_files(paths):
        if isinstance(file, Failure):
            yield file
            continue
        try:
            sample = None if distinguished else VoiceSample()
            for utterance in predictor.timeline(
                _source(file),
                watch=watch(file),
                listen=sample.push if sample else None,
                channel=channel,
                **speakers,
            ):
                yield replace(utterance, file=file)
            if sample and (voices := sample.voices()) > 1:
                note(
                    f"{file} may hold {voices} speakers, who are processed as one. Distinguish "
                    f"them with --speakers {voices}."
                )
        except Exception as error:
            yield _failure(file, error)


def find_files(paths: Sequence[str], *, skip: Container[str] = ()) -> Iterator[str | Failure]:
    """Yield every file that :func:`predict_files` finds in ``paths``."""
    for path in paths:
        for file in _files_at(path):
            if isinstance(file, Failure) or file not in skip:
                yield file


def _files_at(path: str) -> Iterator[str | Failure]:
    """Yield the files at a path or location."""
    remote = is_location(path)
    try:
        if remote and "*" in path:
            none = Failure(path, f"{path} matches no file. Check the location.")
            yield from matches(path) or (none,)
        elif remote and Path(path).suffix.lower() not in SUFFIXES and is_folder(path):
            yield from _in_folder(path, walk)
        elif not remote and os.path.isdir(path):  # noqa: PTH112 -- Path.is_dir raises on long names
            yield from _in_folder(path, walk_folders)
        else:
            yield path
    except OSError as error:
        yield _unsearched(path, error)


def _in_folder(
    folder: str, walker: Callable[[str, Callable[[OSError], None]], Iterator[Visited]]
) -> Iterator[str | Failure]:
    unreadable: list[OSError] = []
    files = 0
    for place, name in sound_names(walker(folder, unreadable.append)):
        files += 1
        yield f"{place}/{name}" if is_location(place) else str(Path(place, name))
    for error in unreadable:
        yield _unsearched(str(error.filename), error)
    if not files and not unreadable:
        yield Failure(folder, f"{folder} holds no audio file. Name files, or a folder with some.")


def _unsearched(folder: str, error: OSError) -> Failure:
    if isinstance(error, AffektError):
        return Failure(folder, str(error))
    return Failure(folder, f"{folder} cannot be searched: {error.strerror or error}.")


def _attempt(file: str | Failure, work: Callable[[str], Value]) -> Value | Failure:
    """Process a file; an error becomes a failure, and other files are still processed."""
    if isinstance(file, Failure):
        return file
    try:
        return work(file)
    except Exception as error:
        return _failure(file, error)


def _source(file: str) -> Source:
    return sys.stdin.buffer if file == STDIN else file


def _failure(file: str, error: Exception) -> Failure:
    if isinstance(error, AffektError):
        return Failure(file, str(error))
    if lacking := shortage(error):
        return Failure(file, f"{file} cannot be processed: {lacking}")
    return Failure(file, f"{file} caused an internal error of affekt: {error!r}. Please report it.")
