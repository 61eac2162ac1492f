"""Files are whole or not there at all."""

from pathlib import Path

import pytest

from affekt.atomic_write import atomic_write


def test_a_file_comes_whole(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    with atomic_write(path) as part:
        part.write_text("half")
        assert not path.exists()
        part.write_text("all")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "all"


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    path.write_text("before")

    def fail() -> None:
        with atomic_write(path) as part:
            part.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "before"


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("before")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with atomic_write(tmp_path / "link") as part:
        part.write_text("after")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "after"
