"""Compute the inputs and outputs of frozen stages once, and keep them on disk.

Log-mel patches are cached for networks that train the CNN, and trunk features for networks with a
frozen trunk. The name of a file is a digest of everything that its content depends on.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from affekt.atomic_write import atomic_write
from affekt.audio.windows import sliding_windows
from affekt.corpora.clips import Clip
from affekt.corpora.manifest import Manifest
from affekt.corpora.recordings import read_samples
from affekt.engines import cores
from affekt.errors import CorpusError, RunError, writing
from affekt.experiments.augmentation import Augmentation, simulated
from affekt.model.architecture import Architecture
from affekt.model.classifier import Classifier, front_end_of, loudness_of
from affekt.model.loudness import State
from affekt.model.speaker_normalization import window_sums
from affekt.model.whisper import FLOOR

PATCHES_FORMAT = 2  # of the files; part of their digest
FEATURES_FORMAT = 1
Value = TypeVar("Value")


@dataclass(frozen=True)
class Patches:
    """The trunk's inputs for all clips of a manifest."""

    #: ``(windows, frames, bands)`` float32, clip after clip, read from disk as needed
    values: NDArray[np.float32]
    starts: NDArray[np.int64]  #: ``(clips + 1,)`` first window of each clip, and the end

    def gather(self, clips: Sequence[int] | NDArray[np.int64]) -> Tensor:
        """The windows of some clips, one clip after the other."""
        parts = [self.values[self.starts[clip] : self.starts[clip + 1]] for clip in clips]
        return torch.from_numpy(np.concatenate(parts))


@dataclass(frozen=True)
class Features:
    """The outputs of a frozen trunk for all clips of a manifest."""

    #: ``(windows, steps, features)`` float16, clip after clip, read as needed
    steps: NDArray[np.float16]
    shares: NDArray[np.float32]  #: ``(windows, steps)`` float32: share of speech in each step
    starts: NDArray[np.int64]  #: ``(clips + 1,)`` first window of each clip, and the end
    #: what each clip adds to its speaker's profile: ``(clips, 1)`` and twice
    #: ``(clips, features)`` float32
    sums: State


def sound_digest(manifest: Manifest) -> str:
    """SHA-256 over a manifest's rows and the contents of its recordings, as 64 hex digits.

    Raises:
        CorpusError: a recording that cannot be read, or copies of one that have two speakers.
    """
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
        contents = dict(zip(files, pool.map(of, files), strict=True))
    _refuse_copies(manifest, contents)
    for content in contents.values():
        digest.update(content)
    return digest.hexdigest()


def _refuse_copies(manifest: Manifest, contents: Mapping[str, bytes]) -> None:
    """Refuse the same sound of two speakers: it could be in training and test."""
    found: dict[tuple[object, ...], Clip] = {}
    for clip in manifest.clips:
        key = contents[clip.file], clip.start, clip.end, clip.channel
        before = found.setdefault(key, clip)
        if before.speaker != clip.speaker:
            raise CorpusError(
                f"recordings of two speakers of {manifest.corpus} must differ. Got the same sound "
                f"in {before.file} ({before.speaker}) and {clip.file} ({clip.speaker}). Correct "
                f"the speaker, or leave one of them out."
            )


@dataclass(frozen=True)
class Source:
    """Recordings, and the settings with which the trunk's inputs are computed.

    Its methods raise AudioError for a recording that does not decode, and RunError for a cache that
    cannot be written.
    """

    manifest: Manifest  #: of the clips
    digest: str  #: of :func:`sound_digest`
    architecture: Architecture  #: of the network that they are for
    augmentation: Augmentation  #: how speakers are simulated
    cache: Path  #: folder of the cached files

    @property
    def key(self) -> list[object]:
        """Everything that the trunk's inputs depend on, besides the simulated speaker."""
        a = self.architecture
        front_end = f"whisper, floor {FLOOR:g}, no offset" if a.trunk == "whisper" else a.front_end
        if front_end == "power":
            front_end = "power, squared weights"  # not that of earlier versions
        return [self.digest, front_end, a.hop, a.last_window, a.loudness]

    def inputs_of(self) -> Callable[[int, int], Tensor]:
        """A function from a clip's row and a simulated speaker to the trunk's inputs."""
        a = self.architecture
        front_end, loudness = front_end_of(a), loudness_of(a)

        @torch.inference_mode()
        def inputs(row: int, speaker: int) -> Tensor:
            clip = self.manifest.clips[row]
            samples = simulated(
                read_samples(self.manifest, clip),
                clip.speaker,
                speaker,
                clip=clip.file,
                augmentation=self.augmentation,
            )
            windows = sliding_windows(samples, hop=a.hop, last_window=a.last_window)
            patches: Tensor = front_end(torch.tensor(windows))
            if loudness is None:
                return patches
            start = {name: torch.zeros(1, *shape) for name, shape in loudness.state.items()}
            return loudness(patches[None], start)[0][0]  # type: ignore[no-any-return]

        return inputs

    def patches(self, speaker: int = 0) -> Patches:
        """The trunk's inputs of all clips, from the cache or computed now."""
        inputs = self.inputs_of()

        def compute() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
            parts = each_clip(
                lambda row: np.asarray(inputs(row, speaker)), self.manifest, "log-mels", speaker
            )
            return np.concatenate(parts), np.cumsum([0, *map(len, parts)], dtype=np.int64)

        a = self.architecture
        context = [a.context] if a.trunk == "whisper" else []
        facts = [PATCHES_FORMAT, *self.key, *context, *self.augmentation.cache_key(speaker)]
        values, starts = cached(self.cache, ("patches", "starts"), facts, compute)
        return Patches(values, np.array(starts))

    def features(
        self, classifier: Classifier, trunk_key: Sequence[object], speaker: int
    ) -> Features:
        """The outputs of a frozen trunk for all clips, from the cache or computed now.

        ``trunk_key`` is everything that the classifier's trunk depends on.
        """
        classifier.eval()
        inputs = self.inputs_of()

        def of(row: int) -> tuple[NDArray[Any], ...]:
            with torch.inference_mode():
                given = inputs(row, speaker)
                steps = classifier.trunk(given.to(classifier.device)).cpu()
                shares = classifier.shares(given)
                sums = torch.cat([part.sum(0) for part in window_sums(steps, shares).values()])
            return steps.half().numpy(), shares.numpy(), sums.numpy()

        def compute() -> tuple[NDArray[Any], ...]:
            parts = each_clip(of, self.manifest, "features", speaker)
            steps, shares, sums = zip(*parts, strict=True)
            starts = np.cumsum([0, *map(len, steps)], dtype=np.int64)
            return np.concatenate(steps), np.concatenate(shares), np.stack(sums), starts

        facts = [FEATURES_FORMAT, *self.key, *trunk_key, *self.augmentation.cache_key(speaker)]
        files = ("steps", "shares", "sums", "windows")
        steps, shares, sums, starts = cached(self.cache, files, facts, compute)
        parts = np.split(np.array(sums), [1, 1 + classifier.trunk.features], axis=1)
        names = ("speaker_weight", "speaker_sum", "speaker_square")
        profiles = {name: torch.from_numpy(part) for name, part in zip(names, parts, strict=True)}
        return Features(steps, np.array(shares), np.array(starts), profiles)


def each_clip(
    function: Callable[[int], Value], manifest: Manifest, what: str, speaker: int = 0
) -> list[Value]:
    """A function's values for clip 0, 1, ..., computed on all cores under a progress bar."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    bar = f"{what} of {manifest.corpus}{f', simulated speaker {speaker}' if speaker else ''}"
    clips = len(manifest.clips)
    with ThreadPoolExecutor(cores()) as pool:
        values = pool.map(function, range(clips))
        hidden = not console.is_terminal  # it would write an empty line
        return list(track(values, bar, clips, console=console, transient=True, disable=hidden))


def cached(
    cache: Path,
    names: Sequence[str],
    facts: Sequence[object],
    compute: Callable[[], Sequence[NDArray[Any]]],
) -> list[NDArray[Any]]:
    """Compute arrays unless their files are in the folder ``cache``; read them as needed.

    The files are named by the digest of ``facts``, everything that the arrays depend on.

    Raises:
        RunError: the cache cannot be written, or a file in it is damaged.
    """
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    paths = [cache / f"{name}-{key}.npy" for name in names]
    if not all(path.is_file() for path in paths):
        remedy = "Make room, or set AFFEKT_CACHE to another folder."
        with writing(cache, RunError, remedy):  # before hours of computing
            cache.mkdir(parents=True, exist_ok=True)
            TemporaryFile(dir=cache).close()
        arrays = compute()
        with writing(cache, RunError, remedy):
            for path, array in zip(paths, arrays, strict=True):
                # Other machines may write the same file meanwhile.
                with atomic_write(path) as part, part.open("wb") as file:
                    np.save(file, array)
    return [_read(path) for path in paths]


def _read(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise RunError(
            f"{path} must be an array as it was cached. Got: {error}. Remove the file."
        ) from error
    return array
