"""A manifest to the log-mel patches of its clips, kept on disk, and batches of them.

The front end is fixed, so its output is computed once per recordings and settings: no epoch and
no second fold decodes audio again. The file is named by a digest of all that it depends on.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from affekt.audio.reading import read
from affekt.audio.windows import sliding_windows
from affekt.corpora.manifest import Clip, Manifest
from affekt.errors import RunError
from affekt.model.logmel import LogMel

FORMAT = 1  # of the file; part of its digest


@dataclass(frozen=True)
class Patches:
    """The patches of all clips of a manifest.

    Attributes:
        values: ``(windows, 96, 64)`` float32, clip after clip, read from disk as needed.
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
            Patches ``(windows, 96, 64)``, one clip after the other, and lengths ``(clips,)``.
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
        with (manifest.root / file).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()

    with ThreadPoolExecutor() as pool:
        for part in pool.map(of, files):
            digest.update(part)
    return digest.hexdigest()


def load_patches(manifest: Manifest, cache: Path, *, front_end: str, hop: int) -> Patches:
    """Patches of a manifest, from the cache, or computed and then kept there.

    Args:
        manifest: whose clips.
        cache: folder that keeps them.
        front_end: as in :class:`~affekt.model.logmel.LogMel`.
        hop: samples from one window's start to the next.

    Returns:
        The patches of all clips, in the manifest's order.

    Raises:
        AudioError: a recording that does not decode.
        RunError: the cache cannot be written.
    """
    sound = sound_digest(manifest)
    facts = json.dumps([FORMAT, sound, front_end, hop])
    key = hashlib.sha256(facts.encode()).hexdigest()[:16]
    values, starts = cache / f"patches-{key}.npy", cache / f"starts-{key}.npy"
    if not starts.is_file():
        try:
            cache.mkdir(parents=True, exist_ok=True)
            _compute(manifest, LogMel(front_end), hop, values, starts)
        except OSError as error:
            raise RunError(
                f"{cache} must take the log-mels of {manifest.corpus}. Got {error.strerror}. "
                f"Free some space or set AFFEKT_CACHE to another folder."
            ) from error
    return Patches(np.load(values, mmap_mode="r"), np.load(starts), sound)


def _compute(manifest: Manifest, front_end: LogMel, hop: int, values: Path, starts: Path) -> None:
    from rich.console import Console
    from rich.progress import track

    def patches(clip: Clip) -> NDArray[np.float32]:
        windows = sliding_windows(read_samples(manifest, clip), hop=hop)
        with torch.inference_mode():
            values: NDArray[np.float32] = front_end(torch.tensor(windows)).numpy()
        return values

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = list(
            track(
                pool.map(patches, manifest.clips),
                f"log-mels of {manifest.corpus}",
                total=len(manifest.clips),
                console=Console(stderr=True),
                transient=True,
            )
        )
    # Written under a name of its own, then renamed: whoever sees the file sees all of it.
    for path, array in (
        (values, np.concatenate(parts)),
        (starts, np.cumsum([0, *map(len, parts)], dtype=np.int64)),
    ):
        part = path.with_name(f"{path.stem}.{os.getpid()}.npy")
        np.save(part, array)
        part.replace(path)


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
