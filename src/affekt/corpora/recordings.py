"""Read clips, and in parallel their lengths from the headers of their files."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affekt.audio.decoding import SLACK
from affekt.audio.reading import probe, read
from affekt.audio.sound_files import sound_files
from affekt.corpora.clips import Clip
from affekt.corpora.manifest import Manifest
from affekt.errors import AudioError, CorpusError

Watch = Callable[[Iterable[Any], int], Iterable[Any]]  # adds a bar to items, given their number


def read_samples(manifest: Manifest, clip: Clip) -> NDArray[np.float32]:
    """Read the sound of one clip: ``(samples,)`` at 16 kHz."""
    file = manifest.root / clip.file
    return read(file, channel=clip.channel, start=clip.start or 0.0, end=clip.end)


def recordings_in(root: Path) -> tuple[str, ...]:
    """List the files of :func:`~affekt.audio.sound_files.sound_files`; errors are CorpusErrors."""
    if not root.is_dir():
        raise CorpusError(
            f"root of a corpus must be a folder. Got {root}. Name the folder that was unpacked."
        )
    try:
        return sound_files(root)
    except AudioError as error:
        raise CorpusError(str(error)) from error


def unwatched(items: Iterable[Any], total: int) -> Iterable[Any]:  # noqa: ARG001
    """Pass the items on without a progress bar."""
    return items


def measured(
    root: Path, clips: Iterable[Clip], watch: Watch = unwatched
) -> tuple[tuple[Clip, ...], dict[str, str]]:
    """Return the readable clips below ``root`` with their lengths, and by file what is wrong."""
    clips = tuple(clips)
    with ThreadPoolExecutor() as threads:
        lengths = threads.map(lambda clip: _length(root, clip), clips)
        results = tuple(zip(clips, watch(lengths, len(clips)), strict=True))
    good = tuple(replace(clip, seconds=each) for clip, each in results if isinstance(each, float))
    bad = {clip.file: each for clip, each in results if isinstance(each, str)}
    return good, bad


def _length(root: Path, clip: Clip) -> float | str:
    """Return the seconds of one clip, or the reason why its file cannot be read."""
    try:
        sound = probe(root / clip.file)
    except AudioError as error:
        return str(error)
    if clip.channel is not None and clip.channel >= sound.channels:
        return f"channel {clip.channel} is wanted, and its last one is {sound.channels - 1}."
    start, wanted = clip.start or 0.0, sound.seconds if clip.end is None else clip.end
    end = min(wanted, sound.seconds)
    if wanted > sound.seconds + SLACK or start >= end:  # tables round the ends of recordings
        return f"it is {sound.seconds:g} s long, and {start:g} to {wanted:g} s is wanted."
    return end - start
