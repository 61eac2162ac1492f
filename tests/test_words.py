"""Texts for people use the field's terms: none of the words that were retired, no long lines."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from affekt import errors
from affekt.cli import main

ROOT = Path(__file__).parents[1]
COLUMNS = 100
#: Metaphors and riddles of earlier texts, each with a plain word in its place.
RETIRED = {
    "hears": "processes",
    "hear": "process",
    "heard": "processed",
    "unheard": "unseen",
    "colour": "spectrum",
    "colours": "spectra",
    "doorkeeper": "origin check",
    "desk": "worker",
    "ears": "encoder",
    "nobody": "no enrolment, no speaker",
    "somebody": "a person",
    "everybody": "all speakers",
    "worth nothing": "no detectable difference",
    "places": "channels",
    "whole file": "atomic write",
    "yardstick": "reference",
    "worth": "UAR that something adds",
    "whoever": "any person",
    "stranger": "speaker without enrolment",
    "surer": "calibrated, higher confidence",
    "told apart": "distinguished",
    "taken for": "classified as",
    "answered again": "predicted again",
    "flatters": "is optimistic",
    "free of knowledge": "independent of",
    "mend": "correct",
    "mends": "corrects",
    "deaf": "independent of",
    "as if": "like, without",
    "humanity": "all people",
    "goes the way of": "is processed like",
}
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("src/affekt/models/*.md"),
        ROOT / "examples/browser/README.md",
    ]
)
COMMANDS = (
    *("predict", "stream", "serve", "enroll", "embed", "models", "corpus", "weights"),
    *("recipe", "run", "report", "audit", "export", "finetune", "journal"),
    *(
        f"journal {name}"
        for name in ("create", "add", "refresh", "list", "export", "remove", "report", "encrypt")
    ),
)


MODULES = pytest.mark.parametrize(
    "module",
    sorted(ROOT.glob("src/affekt/**/*.py")),
    ids=lambda path: str(path.relative_to(ROOT / "src")),
)
ERRORS = {"error", *(name for name in vars(errors) if name.endswith("Error"))}


def messages_of_errors(module: Path) -> Iterator[tuple[int, str]]:
    """Line and message of each error of affekt; a letter stands for each value."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.func) in ERRORS:
            text = node.args[0]
            parts = text.values if isinstance(text, ast.JoinedStr) else [text]
            words = (str(each.value) if isinstance(each, ast.Constant) else "x" for each in parts)
            yield node.lineno, "".join(words)


def refuse_retired(text: str, where: object) -> None:
    for word, plain in RETIRED.items():
        found = re.search(rf"(?<![\w`/.-]){word}(?![\w`])", text, re.IGNORECASE)
        around = found and " ".join(text[max(0, found.start() - 40) : found.end() + 40].split())
        assert not found, f"{where}: {word!r} is retired ({plain}): ...{around}..."


def prose(page: Path) -> list[str]:
    """Lines of a page outside of code blocks; a block may hold lines that cannot be wrapped."""
    parts = page.read_text(encoding="utf-8").split("```")
    return "".join(parts[::2]).splitlines()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_use_the_fields_terms(page: Path) -> None:
    lines = prose(page)
    refuse_retired("\n".join(lines), page.relative_to(ROOT))
    for line in lines:  # a row of a table or a link cannot be wrapped
        assert len(line) <= COLUMNS or line.startswith("|") or "](" in line, line


@pytest.mark.parametrize("recipe", sorted(ROOT.glob("recipes/*.toml")), ids=lambda path: path.stem)
def test_comments_of_recipes_use_the_fields_terms(recipe: Path) -> None:
    lines = recipe.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    refuse_retired("\n".join(line.partition("#")[2] for line in lines), recipe.name)
    assert max(map(len, lines)) <= COLUMNS


@MODULES
def test_docstrings_and_errors_use_the_fields_terms(module: Path) -> None:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            refuse_retired(ast.get_docstring(node) or "", module.relative_to(ROOT))
        elif isinstance(node, ast.Raise):
            strings = (each for each in ast.walk(node) if isinstance(each, ast.Constant))
            message = " ".join(str(each.value) for each in strings)
            refuse_retired(message, f"{module.relative_to(ROOT)}, line {node.lineno}")


@MODULES
def test_errors_end_with_a_remedy(module: Path) -> None:
    for line, message in messages_of_errors(module):
        assert not re.search(r"\bGot\b[^.]*\.?$", message), f"line {line}: {message}"


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_helps_use_the_fields_terms(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    assert main([*command.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    refuse_retired(shown, f"affekt {command} --help")
    assert max(map(len, shown.splitlines())) <= COLUMNS


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 90
