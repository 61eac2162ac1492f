"""Test the patches of clips: equal to the front end's, computed once, written whole."""

import errno
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt import atomic_write as atomic_writing
from affekt.audio.windows import WINDOW_HOP, sliding_windows
from affekt.corpora import Manifest, load
from affekt.corpora.recordings import read_samples
from affekt.errors import CorpusError, RunError
from affekt.experiments import feature_cache
from affekt.experiments.augmentation import Augmentation, simulated
from affekt.experiments.feature_cache import Patches, Source, sound_digest
from affekt.experiments.minibatches import shuffled
from affekt.model.architecture import Architecture
from affekt.model.classifier import loudness_of
from affekt.model.logmel import LogMel
from synthetic_corpus import make_corpus

NONE = Augmentation()


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return load("ravdess", make_corpus(tmp_path / "ravdess", speakers=2), partial=True)


def source_of(manifest: Manifest, augmentation: Augmentation = NONE, **knobs: Any) -> Source:
    network = Architecture(manifest.labels, **knobs)
    cache = manifest.root.parent / "cache"
    return Source(manifest, sound_digest(manifest), network, augmentation, cache)


def patches_of(manifest: Manifest, *, speaker: int = 0, **knobs: Any) -> Patches:
    return source_of(manifest, **knobs).patches(speaker)


def test_the_same_sound_of_two_speakers_is_refused(manifest: Manifest) -> None:
    first, *others = manifest.clips
    same = next(clip for clip in others if clip.speaker == first.speaker)
    other = next(clip for clip in others if clip.speaker != first.speaker)
    for copy in (same, other):
        (manifest.root / copy.file).write_bytes((manifest.root / first.file).read_bytes())
        if copy is same:  # some published corpora have such copies
            assert sound_digest(manifest)
    with pytest.raises(CorpusError) as refused:
        sound_digest(manifest)
    assert f"{other.file} ({other.speaker}). Correct the speaker" in str(refused.value)
    assert sound_digest(replace(manifest, clips=(first, replace(other, start=0.5))))


@pytest.mark.parametrize("front_end", ["magnitude", "power"])
@pytest.mark.parametrize("hop", [WINDOW_HOP, 2_000])
def test_patches_equal_the_front_end(manifest: Manifest, front_end: str, hop: int) -> None:
    patches = patches_of(manifest, front_end=front_end, hop=hop)
    windows = [sliding_windows(read_samples(manifest, clip), hop=hop) for clip in manifest.clips]
    assert np.diff(patches.starts).tolist() == [len(part) for part in windows]
    values = patches.gather([3, 0])
    expected = LogMel(front_end)(torch.from_numpy(np.concatenate([windows[3], windows[0]])))
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-3)


def test_recordings_are_decoded_once(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    first = patches_of(manifest)
    encoder = {"trunk": "whisper", "hop": 15_360, "loudness": "running"}
    assert patches_of(manifest, **encoder).values.shape[1] == 192
    assert patches_of(manifest, **encoder, context=2).values.shape[1] == 288
    monkeypatch.setattr(feature_cache, "read_samples", None)
    again = patches_of(manifest)
    np.testing.assert_array_equal(first.values, again.values)
    for other in ({"hop": 5_000}, {"last_window": "pad"}, {"loudness": "running"}, {"speaker": 1}):
        with pytest.raises(TypeError):  # is another file
            patches_of(manifest, **other)


def test_patches_follow_last_window_and_loudness(manifest: Manifest) -> None:
    patches = patches_of(manifest, hop=15_360, last_window="pad", loudness="running")
    loudness = loudness_of(Architecture(manifest.labels, hop=15_360, loudness="running"))
    assert loudness is not None
    start = {name: torch.zeros(1, *shape) for name, shape in loudness.state.items()}
    for row, clip in enumerate(manifest.clips):
        windows = sliding_windows(read_samples(manifest, clip), hop=15_360, last_window="pad")
        plain = LogMel()(torch.tensor(windows))
        leveled, _ = loudness(plain[None], start)
        torch.testing.assert_close(patches.gather([row]), leveled[0], rtol=0, atol=1e-3)
    assert np.diff(patches.starts).tolist() == [1 + (c.seconds > 1) for c in manifest.clips]


def test_patches_of_a_simulated_speaker(manifest: Manifest) -> None:
    patches, clip = patches_of(manifest, speaker=2), manifest.clips[1]
    sound = simulated(
        read_samples(manifest, clip), clip.speaker, 2, clip=clip.file, augmentation=Augmentation()
    )
    windows = np.ascontiguousarray(sliding_windows(sound))
    expected = LogMel()(torch.from_numpy(windows))
    torch.testing.assert_close(patches.gather([1]), expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("change", [{"channel": True}, {"bandwidth": True}], ids=str)
def test_each_augmentation_has_its_own_files(manifest: Manifest, change: dict[str, bool]) -> None:
    plain = source_of(manifest, Augmentation())
    other = source_of(manifest, Augmentation(**change))
    here, there = (
        np.concatenate([source.patches(speaker).values for speaker in (1, 2)])
        for source in (plain, other)
    )
    assert there.shape == here.shape
    assert np.abs(there - here).mean() > 0.02
    files = set(plain.cache.iterdir())
    np.testing.assert_array_equal(other.patches().values, plain.patches().values)
    assert len(set(plain.cache.iterdir()) - files) == 2  # original recordings are shared


def test_a_changed_recording_gives_new_patches(manifest: Manifest) -> None:
    before = patches_of(manifest)
    one, other = (manifest.root / manifest.clips[row].file for row in (0, 2))
    one.write_bytes(other.read_bytes())
    after = patches_of(manifest)
    assert not np.array_equal(before.values[0], after.values[0])


def test_a_missing_recording_is_an_error(manifest: Manifest) -> None:
    (manifest.root / manifest.clips[0].file).unlink()
    with pytest.raises(CorpusError, match=r"must be readable\. Got: No such file"):
        patches_of(manifest)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"nothing of the kind"])
def test_a_damaged_file_of_the_cache_is_named(manifest: Manifest, content: bytes) -> None:
    patches_of(manifest)
    (file,) = (manifest.root.parent / "cache").glob("patches-*.npy")
    file.write_bytes(content)
    with pytest.raises(RunError, match=rf"{file} must be an array .* Remove the file"):
        patches_of(manifest)


def test_a_full_disk_leaves_no_partial_file(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: BinaryIO, _: object) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", full)
        with pytest.raises(RunError, match="No space left on device"):
            patches_of(manifest)
    assert not list((manifest.root.parent / "cache").iterdir())
    assert len(patches_of(manifest).values) == sum(np.diff(patches_of(manifest).starts))


def test_cached_files_are_on_the_disk_before_they_have_their_name(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr(atomic_writing, "_flush", flushed.append)
    patches_of(manifest)
    cache = manifest.root.parent / "cache"
    assert [each for each in flushed if each == cache] == [cache, cache]
    assert len([each for each in flushed if each.parent == cache]) == 2


@settings(max_examples=50)
@given(
    clips=st.lists(st.integers(0, 10_000), min_size=1, max_size=80, unique=True),
    size=st.integers(1, 30),
    seed=st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=3),
)
def test_mini_batches_hold_every_clip_once(
    clips: list[int], size: int, seed: Sequence[int]
) -> None:
    rows = np.array(clips)
    dealt = list(shuffled(rows, size, seed=seed))
    assert sorted(np.concatenate(dealt)) == sorted(clips)
    assert all(len(batch) == size for batch in dealt[:-1])
    assert 1 <= len(dealt[-1]) <= size
    again = list(shuffled(rows, size, seed=seed))
    assert all(np.array_equal(*pair) for pair in zip(dealt, again, strict=True))


def test_the_order_of_mini_batches_is_constant() -> None:
    """Runs go on where they were killed, so the same seed must deal the same for ever."""
    dealt = [batch.tolist() for batch in shuffled(np.arange(10), 4, seed=(0, 1, 2))]
    assert dealt == [[7, 9, 5, 1], [4, 0, 3, 8], [6, 2]]
    other = np.concatenate(list(shuffled(np.arange(10), 4, seed=(0, 1, 3))))
    assert other.tolist() != [clip for batch in dealt for clip in batch]
