"""A folder to its sound files, and clips to measured clips: headers only, in parallel."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from affekt.audio.reading import SUFFIXES, probe
from affekt.corpora.clips import Clip
from affekt.errors import AudioError, CorpusError

Watch = Callable[[Iterable[Any], int], Iterable[Any]]  # (items, how many) → the same items, shown


def sound_files(root: Path) -> tuple[str, ...]:
    """All sound files below a folder, at any depth.

    Args:
        root: where to look. Hidden files and ``__MACOSX`` (left by macOS archives) are not
            recordings.

    Returns:
        POSIX paths relative to ``root``, sorted.

    Raises:
        CorpusError: ``root`` is not a folder.
    """
    if not root.is_dir():
        raise CorpusError(
            f"root of a corpus must be a folder. Got {root}. Name the folder that was unpacked."
        )
    paths = (Path(folder, name) for folder, _, names in os.walk(root) for name in names)
    return tuple(
        sorted(
            path.relative_to(root).as_posix()
            for path in paths
            if path.suffix.lower() in SUFFIXES and not _hidden(path.relative_to(root))
        )
    )


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def unwatched(items: Iterable[Any], total: int) -> Iterable[Any]:  # noqa: ARG001
    """Show nothing while the items go by."""
    return items


def measured(
    root: Path, clips: Iterable[Clip], watch: Watch = unwatched
) -> tuple[tuple[Clip, ...], dict[str, str]]:
    """Read the header of every clip's file.

    Args:
        root: folder that the clips' files are relative to.
        clips: clips whose length is not known yet.
        watch: shows how far it is; gets the items and their number.

    Returns:
        The clips that can be read, with their length; and by file why the others cannot.
    """
    clips = tuple(clips)
    with ThreadPoolExecutor() as threads:
        lengths = threads.map(lambda clip: _length(root, clip), clips)
        results = tuple(zip(clips, watch(lengths, len(clips)), strict=True))
    good = tuple(
        replace(clip, seconds=length) for clip, length in results if isinstance(length, float)
    )
    bad = {clip.file: length for clip, length in results if isinstance(length, str)}
    return good, bad


def _length(root: Path, clip: Clip) -> float | str:
    """Seconds of one clip, or why its file cannot be read."""
    try:
        sound = probe(root / clip.file)
    except AudioError as error:
        return str(error)
    if clip.channel is not None and clip.channel >= sound.channels:
        return f"it has {sound.channels} channels, and channel {clip.channel} is wanted."
    end = sound.seconds if clip.end is None else clip.end
    if end > sound.seconds or (clip.start or 0.0) >= end:
        return f"it is {sound.seconds:g} s long, and {clip.start or 0.0:g} to {end:g} s is wanted."
    return end - (clip.start or 0.0)
