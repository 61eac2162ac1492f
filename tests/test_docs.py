"""Test that every Python and console block of README and docs runs, with the shown output.

A block that cannot run in a test says so, and why: ``<!-- skip: next "trains for hours" -->``.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from doctest import ELLIPSIS, OutputChecker
from pathlib import Path
from unittest import SkipTest

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

from conftest import DATA

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Each command after ``$``, on one line, and its output; empty where the page has none."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, printed = re.sub(r"&&\n +", "&& ", part).partition("\n")
        yield command, printed


def run_console(example: Example) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command, printed in commands(example.parsed):
        done = subprocess.run(
            ["bash", "-c", command],
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        if printed:
            assert OutputChecker().check_output(printed, done.stdout, ELLIPSIS), done.stdout


READER = Sybil(
    parsers=[PythonCodeBlockParser(), CodeBlockParser("console", run_console), SkipParser()]
)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all that the pages speak of, where they may write."""
    for name in ("README.md", "samples", "recipes", "results"):
        (tmp_path / name).symlink_to(ROOT / name)
    if DATA:
        (tmp_path / "ravdess").symlink_to(DATA / "ravdess")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AFFEKT_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_example_runs(page: Path, workplace: Path) -> None:
    document = READER.parse(page)
    document.namespace["ravdess"] = (workplace / "ravdess").is_dir()
    for example in document.examples():
        with suppress(SkipTest):
            example.evaluate()


def test_an_example_that_is_wrong_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for block in (
        "```python\nassert 1 == 2\n```\n",
        "```console\n$ false\n```\n",
        "```console\n$ echo a\nb\n```\n",
    ):
        page.write_text(block)
        (example,) = READER.parse(page).examples()
        with pytest.raises(AssertionError):
            example.evaluate()


def test_continuous_integration_runs_the_commands_of_the_readme() -> None:
    console = re.findall(r"^```console\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    first, second = (command for block in console[:2] for command, _ in commands(block))
    script = re.sub(r"&&\n +", "&& ", (ROOT / ".ci" / "run").read_text()).splitlines()
    assert first in script
    assert second == "make check"
    assert second in script


def anchors(page: Path) -> set[str]:
    """Names of the headings, as GitHub and Sphinx make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in PAGES:
        for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", page.read_text()):
            if "://" not in target and not target.startswith("api/"):
                file = page.parent / target if target else page
                assert file.exists(), f"{page.name} links to {target}"
                assert not anchor or anchor in anchors(file), f"{page.name} links to #{anchor}"
