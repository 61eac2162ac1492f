"""A manifest to the log-mel patches of its clips, kept on disk, and batches of clips.

The front end is fixed, so its output is computed once per recordings and settings: no epoch and
no second fold decodes audio again. The file is named by a digest of all that it depends on.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from affekt.audio.reading import read
from affekt.audio.windows import sliding_windows
from affekt.corpora.clips import Clip
from affekt.corpora.manifest import Manifest
from affekt.errors import CorpusError, RunError
from affekt.experiments.voices import simulated
from affekt.model.architecture import Architecture
from affekt.model.classifier import front_end_of, loudness_of

FORMAT = 2  # of the file; part of its digest
Value = TypeVar("Value")


@dataclass(frozen=True)
class Patches:
    """The patches of all clips of a manifest.

    Attributes:
        values: ``(windows, 96, 64)`` float32, clip after clip, read from disk as needed; for a
            backbone the windows themselves, ``(windows, 15600)``.
        starts: ``(clips + 1,)`` first window of each clip, and the end.
        digest: SHA-256 over the recordings' contents, as 64 hex digits.
    """

    values: NDArray[np.float32]
    starts: NDArray[np.int64]
    digest: str

    def gather(self, clips: Sequence[int] | NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """The windows of some clips.

        Args:
            clips: rows of the manifest.

        Returns:
            Their values, one clip after the other, and lengths ``(clips,)``.
        """
        parts = [self.values[self.starts[clip] : self.starts[clip + 1]] for clip in clips]
        lengths = torch.tensor([len(part) for part in parts])
        return torch.from_numpy(np.concatenate(parts)), lengths


def read_samples(manifest: Manifest, clip: Clip) -> NDArray[np.float32]:
    """The sound of one clip: ``(samples,)`` at 16 kHz."""
    return read(
        manifest.root / clip.file, channel=clip.channel, start=clip.start or 0.0, end=clip.end
    )


def sound_digest(manifest: Manifest) -> str:
    """SHA-256 over the contents of a manifest's recordings and its rows."""
    digest = hashlib.sha256(manifest.digest.encode())
    files = sorted({clip.file for clip in manifest.clips})

    def of(file: str) -> bytes:
        try:
            with (manifest.root / file).open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").digest()
        except OSError as error:
            raise CorpusError(
                f"{manifest.root / file} must be readable. Got: {error.strerror}. "
                f"Put the recording back."
            ) from error

    with ThreadPoolExecutor() as pool:
        for part in pool.map(of, files):
            digest.update(part)
    return digest.hexdigest()


def load_patches(
    manifest: Manifest,
    cache: Path,
    architecture: Architecture,
    *,
    voice: int = 0,
    places: bool = False,
) -> Patches:
    """Patches of a manifest, from the cache, or computed and then kept there.

    Args:
        manifest: whose clips.
        cache: folder that keeps them.
        architecture: how a sound is cut, heard and leveled before it reaches the CNN.
        voice: as in :func:`~affekt.experiments.voices.simulated`.
        places: likewise.

    Returns:
        The patches of all clips, in the manifest's order.

    Raises:
        AudioError: a recording that does not decode.
        CorpusError: a recording that is gone.
        RunError: the cache cannot be written.
    """
    sound = sound_digest(manifest)
    front_end, loudness = front_end_of(architecture), loudness_of(architecture)

    def of(row: int) -> NDArray[np.float32]:
        clip = manifest.clips[row]
        recorded = read_samples(manifest, clip)
        samples = simulated(recorded, clip.speaker, voice, clip=clip.file, places=places)
        windows = sliding_windows(samples, hop=architecture.hop, tail=architecture.tail)
        with torch.inference_mode():
            patches = front_end(torch.tensor(windows))
            if loudness:
                start = {name: torch.zeros(1, *shape) for name, shape in loudness.state.items()}
                patches = loudness(patches[None], start)[0][0]
        values: NDArray[np.float32] = patches.numpy()
        return values

    def compute() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        what = f"log-mels of {manifest.corpus}" + (f", voice {voice}" if voice else "")
        parts = each_clip(of, len(manifest.clips), what)
        return np.concatenate(parts), np.cumsum([0, *map(len, parts)], dtype=np.int64)

    facts = [FORMAT, sound, architecture.front_end, architecture.hop]
    facts += [architecture.tail, architecture.level, *spoken_as(voice, places=places)]
    values, starts = cached(cache, ("patches", "starts"), facts, compute)
    return Patches(np.load(values, mmap_mode="r"), np.load(starts), sound)


def spoken_as(voice: int, *, places: bool) -> list[object]:
    """What tells one voice's files in the cache from another's.

    Change the word when :mod:`~affekt.experiments.places` makes other places than before.
    """
    return [voice, "elsewhere"] if voice and places else [voice]


def each_clip(function: Callable[[int], Value], clips: int, what: str) -> list[Value]:
    """A function's values for clip 0, 1, ..., computed on all cores under a progress bar."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        values = pool.map(function, range(clips))
        return list(track(values, what, total=clips, console=console, transient=True))


def cached(
    cache: Path,
    names: Sequence[str],
    facts: Sequence[object],
    compute: Callable[[], Sequence[NDArray[Any]]],
) -> list[Path]:
    """Files of arrays that are computed only where they are not kept yet.

    Args:
        cache: folder that keeps them.
        names: of the arrays.
        facts: all that the arrays depend on; the files are named by its digest.
        compute: makes the arrays.

    Returns:
        An ``.npy`` file for each name.

    Raises:
        RunError: the cache cannot be written.
    """
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    paths = [cache / f"{name}-{key}.npy" for name in names]
    if not all(path.is_file() for path in paths):
        arrays = compute()
        try:
            cache.mkdir(parents=True, exist_ok=True)
            for path, array in zip(paths, arrays, strict=True):
                # Renamed once it is whole; others, on any machine, may write the same meanwhile.
                part = path.with_name(f"{path.stem}.{uuid4().hex}.npy")
                try:
                    np.save(part, array)
                    part.replace(path)
                finally:
                    part.unlink(missing_ok=True)
        except OSError as error:
            raise RunError(
                f"{cache} must take what is computed from the recordings. Got: {error.strerror}. "
                f"Make room, or set AFFEKT_CACHE to another folder."
            ) from error
    return paths


def shuffled(
    clips: NDArray[np.int64], size: int, *, seed: Sequence[int]
) -> Iterator[NDArray[np.int64]]:
    """Mini-batches of one epoch in random order.

    Args:
        clips: ``(clips,)`` rows to deal out.
        size: clips of a mini-batch; the last may be smaller.
        seed: whole numbers, such as recipe's seed, fold and epoch: the order depends on nothing
            else, so that a resumed run deals the same batches.

    Yields:
        ``(size,)`` rows.
    """
    order = np.random.default_rng(seed).permutation(clips)
    for start in range(0, len(order), size):
        yield order[start : start + size]
