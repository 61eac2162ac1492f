"""Test the search for sound files in a folder."""

import os
from pathlib import Path
from typing import Any

import pytest

from affekt.audio.sound_files import sound_files
from affekt.corpora.recordings import recordings_in
from affekt.errors import AudioError, CorpusError


def touch(root: Path, *names: str) -> None:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def test_sound_files_are_found_at_any_depth_in_order(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.WAV", "b/1.flac", "a/z/3.mp3", "0.opus", "notes.txt", "a/data.csv")
    assert sound_files(tmp_path) == ("0.opus", "a/z/3.mp3", "b/1.flac", "b/2.WAV")


def test_hidden_files_and_remains_of_archives_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, ".a.wav", "._b.wav", ".git/c.wav", "__MACOSX/d.wav", "x/.e.wav", "f.wav")
    assert sound_files(tmp_path) == ("f.wav",)


def test_linked_folders_are_searched_once(tmp_path: Path) -> None:
    touch(tmp_path, "disk/a.wav", "corpus/b.wav")
    (tmp_path / "corpus" / "more").symlink_to(tmp_path / "disk")
    (tmp_path / "corpus" / "loop").symlink_to(tmp_path / "corpus")
    assert sound_files(tmp_path / "corpus") == ("b.wav", "more/a.wav")


def test_a_folder_that_is_also_linked_to_keeps_its_path(tmp_path: Path) -> None:
    touch(tmp_path, "z/real/a.wav", "b/c.wav")
    (tmp_path / "b" / "link").symlink_to(tmp_path / "z" / "real")
    assert sound_files(tmp_path) == ("b/c.wav", "z/real/a.wav")


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="must be a folder"):
        sound_files(tmp_path / "none")


def test_a_folder_that_cannot_be_searched_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.wav", "locked/b.wav")
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    message = "locked cannot be searched: Permission denied. Check its permissions."
    with pytest.raises(AudioError, match=message):
        sound_files(tmp_path)
    with pytest.raises(CorpusError, match=message):
        recordings_in(tmp_path)
