"""Fuzz each reader for a few seconds, from the seeds and by the same random choices each time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parent / "fuzz"
RUNS = {  # inputs, about 3 s of them
    "sound": 600,
    "profile": 30_000,
    "model": 150,
    "recipe": 500,
    "stream": 750,
    "messages": 100,
}
SECONDS = 10  # at most, on a busy machine


@pytest.mark.parametrize("target", RUNS)
def test_no_input_makes_a_reader_fail(target: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="has no wheels for this system")
    words = [sys.executable, FUZZ / "fuzz.py", target, "--runs", str(RUNS[target])]
    words += ["--seconds", str(SECONDS)]
    lines: list[str] = []
    place = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        words, cwd=tmp_path, env=place, stderr=subprocess.PIPE, text=True
    ) as fuzzer:
        assert fuzzer.stderr is not None
        for line in fuzzer.stderr:
            lines.append(line)
            if line.startswith("Done "):
                fuzzer.terminate()  # its exit may take long
                break
    assert lines[-1].startswith("Done "), "".join(lines[-50:])
    assert [*tmp_path.iterdir()] == []  # neither an input that fails nor temporary files


def test_a_search_that_ends_itself_leaves_no_temporary_files(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="has no wheels for this system")
    words = [sys.executable, FUZZ / "fuzz.py", "recipe", "--runs", "1"]
    place = os.environ | {"TMPDIR": str(tmp_path)}
    subprocess.run(words, cwd=tmp_path, env=place, check=True, capture_output=True)
    assert [*tmp_path.iterdir()] == []


def test_every_target_has_seeds() -> None:
    assert {folder.name for folder in (FUZZ / "seeds").iterdir()} == {*RUNS}
    assert sum(file.stat().st_size for file in FUZZ.rglob("*")) < 500_000
