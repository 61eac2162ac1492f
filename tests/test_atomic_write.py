"""Files written atomically are complete or absent."""

import os
from pathlib import Path

import pytest

from affekt.atomic_write import atomic_folder, atomic_write
from affekt.errors import RunError, writing


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    with atomic_write(path) as part:
        part.write_text("half")
        assert not path.exists()
        part.write_text("all")
        written = part.stat().st_ino
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "all"
    assert path.stat().st_ino == written  # renamed in one step, not copied


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
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


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("before")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with atomic_write(tmp_path / "link") as part:
        part.write_text("after")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "after"


def test_the_temporary_file_is_new_and_its_name_random(tmp_path: Path) -> None:
    names = []
    for _ in range(2):
        with atomic_write(tmp_path / "x.profile") as part:
            assert part.read_bytes() == b""
            assert not part.is_symlink()
            names.append(part.name)
            part.write_text("content")
    assert names[0] != names[1]


def test_file_and_folder_are_flushed_around_the_replacement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[tuple[bool, bool]] = []
    path = tmp_path / "answers.csv"

    def record(descriptor: int) -> None:
        flushed.append((os.path.samestat(os.fstat(descriptor), tmp_path.stat()), path.exists()))

    monkeypatch.setattr(os, "fsync", record)
    with atomic_write(path) as part:
        part.write_text("all")
    assert flushed == [(False, False), (True, True)]


def test_a_private_file_stays_private(tmp_path: Path) -> None:
    path = tmp_path / "me.profile"
    path.write_text("before")
    path.chmod(0o600)
    with atomic_write(path) as part:
        part.write_text("after")
        assert part.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_name_as_long_as_names_may_be(tmp_path: Path) -> None:
    path = tmp_path / ("語" * 83 + ".csv")
    with atomic_write(path) as part:
        part.write_text("all")
    assert path.read_text() == "all"


def test_a_device_or_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="device or pipe"), atomic_write(tmp_path / "pipe") as part:
        part.write_text("all")
    assert (tmp_path / "pipe").is_fifo()


def test_a_loop_of_links_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OSError, match="symbolic links"), atomic_write(tmp_path / "loop"):
        pass


def test_a_name_with_a_zero_byte_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="null byte"), atomic_write(tmp_path / "a\0b"):
        pass


def test_a_folder_is_replaced_when_the_new_one_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    path = tmp_path / "new" / "run"
    for content in ("before", "after"):
        with atomic_folder(path) as part:
            (part / "fold").mkdir()
            (part / "fold" / "table.csv").write_text(content)
            assert not (path / "fold").exists() or content == "after"
            monkeypatch.setattr(os, "fsync", lambda each: flushed.append(os.fstat(each).st_ino))
    inside = [path / "fold" / "table.csv", path / "fold", path, path.parent]
    assert {*flushed[-4:]} == {each.stat().st_ino for each in inside}
    assert [each.name for each in path.parent.iterdir()] == ["run"]
    assert (path / "fold" / "table.csv").read_text() == "after"


def test_a_folder_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()

    def fail() -> None:
        with atomic_folder(path) as part:
            (part / "half").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [each.name for each in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("Access denied.\nRequest 12\n"), "Access denied"),  # as a remote store's
        (OSError(), "OSError"),
    ],
)
def test_a_fault_of_writing_is_one_line(fault: OSError, reason: str) -> None:
    with pytest.raises(RunError) as caught, writing("x", RunError):
        raise fault
    assert str(caught.value) == f"x cannot be written: {reason}. Name another file."
