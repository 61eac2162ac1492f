"""Test ``affekt corpus``: the printed counts, the manifest, and one line per error."""

import io
from pathlib import Path

import numpy as np
import pytest
import rich.console
import soundfile

from affekt.cli import main
from affekt.commands.output import printing
from affekt.corpora import read_manifest


@pytest.fixture
def savee(tmp_path: Path) -> Path:
    """Write a SAVEE whose four classes lack one clip."""
    root = tmp_path / "savee"
    sound = io.BytesIO()
    soundfile.write(sound, np.zeros(800), 8_000, format="WAV")
    for who in ("DC", "JE", "JK", "KL"):
        (root / who).mkdir(parents=True)
        for code, count in {"a": 15, "h": 15, "sa": 15, "n": 30}.items():
            for number in range(1, count + 1):
                (root / who / f"{code}{number:02}.wav").write_bytes(sound.getvalue())
    (root / "KL" / "sa07.wav").unlink()
    return root


def test_counts_are_compared_with_published_ones(
    savee: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "manifest.csv"
    assert main(["corpus", "savee", str(savee), "-o", str(output)]) == 2
    seen = capsys.readouterr()
    lines = [line.split() for line in seen.out.splitlines()]
    assert lines[:2] == [
        ["savee", "speakers", "angry", "happy", "sad", "neutral", "clips"],
        ["all", "4", "60", "60", "59/60", "120", "299/300"],
    ]
    assert lines[-1] == ["savee:KL", "1", "15", "15", "14/15", "30", "74/75"]
    assert seen.err.count("\n") == 1
    assert "missing clips: 1 (sad of savee:KL)" in seen.err
    assert not output.exists()

    assert main(["corpus", "savee", str(savee), "-o", str(output), "--partial"]) == 0
    seen = capsys.readouterr()
    assert "holds only a part of savee: missing clips: 1" in seen.err
    assert seen.out.splitlines()[-1] == str(output)
    assert len(read_manifest(output).clips) == 299

    (savee / "KL" / "sa07.wav").write_bytes((savee / "KL" / "sa08.wav").read_bytes())
    assert main(["corpus", "savee", str(savee), "-o", str(output)]) == 0
    assert capsys.readouterr().err == ""
    assert len(read_manifest(output).clips) == 300


def test_own_recordings(savee: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "manifest.csv"
    own = ["corpus", "mine", str(savee), "-o", str(output), "--speaker", r"(\d)\.wav"]
    labels = ["--label", "DC=angry", "--label", "JE=sad", "--label", "JK=", "--label", "KL="]
    assert main([*own, *labels, "--task", "four"]) == 0
    assert capsys.readouterr().err == ""
    manifest = read_manifest(output)
    assert manifest.corpus == "mine"
    assert {clip.label for clip in manifest.clips} == {"angry", "sad"}
    assert manifest.speakers == tuple(f"mine:{digit}" for digit in range(10))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["savee", "none"], "root of a corpus must be a folder"),
        (["savee", ".", "--task", "five"], "task of savee must be one of four, all"),
        (["savee", ".", "--speaker", "x"], "--speaker is for your own corpus"),
        (["saavee", "."], "NAME must be one of ravdess, demos"),
        (["mine", ".", "--speaker", "x", "--label", "DC"], "leave recordings out. Got DC."),
        (["mine", ".", "--speaker", "("], "must be a regular expression"),
        (["mine", "gone.csv"], "gone.csv must be a table of recordings, or a folder of them"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str],
    message: str,
    savee: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(savee)
    assert main(["corpus", *arguments]) == 2
    seen = capsys.readouterr()
    assert seen.out == ""
    assert message in seen.err
    assert seen.err.count("\n") == 1


@pytest.mark.parametrize(("seconds", "shown"), [(1.0, False), (3.0, True)])
def test_progress_bar_appears_after_two_seconds(
    seconds: float, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    terminal = rich.console.Console(file=screen, force_terminal=True, width=80)
    monkeypatch.setattr(rich.console, "Console", lambda **_: terminal)
    clock = iter([0.0, *[seconds] * 10])
    monkeypatch.setattr(printing.time, "monotonic", lambda: next(clock, seconds))
    assert list(printing.with_progress([1, 2, 3], 3)) == [1, 2, 3]
    assert ("/3" in screen.getvalue()) is shown
