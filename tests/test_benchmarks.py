"""Test that scripts of benchmarks/ can be run as their docstrings and the pages say."""

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import affekt
from affekt.corpora import load
from affekt.experiments.runner import run
from conftest import Captured
from synthetic_corpus import make_corpus, places_in, tiny_recipe
from worker_functions import inline

ROOT = Path(__file__).parents[1]
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))
PAGES = [*ROOT.glob("docs/**/*.md"), *ROOT.glob("src/affekt/models/*.md")]


def shown_options(script: Path) -> set[str]:
    """Options in the commands of a script's docstring and of all pages."""
    command = rf"benchmarks/{script.name}([^`]*?)(?:`|\$ |$)"
    texts = [" ".join(page.read_text(encoding="utf-8").split()) for page in PAGES]
    docstring = script.read_text(encoding="utf-8").split('"""')[1]
    commands = [
        each for text in (*texts, *docstring.splitlines()) for each in re.findall(command, text)
    ]
    return {*re.findall(r"(?<!\S)\[?(--?[a-z][\w-]*)", " ".join(commands))}


@pytest.mark.parametrize("script", BENCHMARKS, ids=lambda script: script.stem)
def test_a_benchmark_has_the_options_that_are_shown(
    script: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    module, shown = import_module(script.stem), shown_options(script)
    if "parse_args" not in script.read_text(encoding="utf-8"):
        assert not shown
        return
    monkeypatch.setattr(sys, "argv", [script.name, "--help"])
    with pytest.raises(SystemExit, match="0"):
        module.main()
    known = re.findall(
        r"(?<![\w-])--?[a-z][\w-]*", capsys.readouterr().out.partition("options:")[2]
    )
    assert shown <= {*known}


def test_recordings_of_low_quality_are_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tones hold no speech, so that the predictor would answer "uncertain"."""
    manifest = load("ravdess", make_corpus(tmp_path / "ravdess", speakers=3), partial=True)
    tone = affekt.read(manifest.root / manifest.clips[0].file)
    assert affekt.load("yamnet-lstm").predict(tone, sample_rate=16_000).label == "uncertain"
    card: Any = import_module("card")
    monkeypatch.setattr(card, "conditions", lambda _: [("tones", manifest, 0.0)])
    output = ["--data", str(tmp_path), "-o", str(tmp_path / "card")]
    monkeypatch.setattr(sys, "argv", ["card.py", *output])
    card.main()
    assert {*pd.read_csv(tmp_path / "card" / "answers.csv")["predicted"]} <= {*manifest.labels}

    recipe, places = tiny_recipe(epochs=1), places_in(tmp_path, manifest.root)
    assert run(recipe, places, folds=[1], engine=inline) == ()
    monkeypatch.setenv("AFFEKT_DATA", str(tmp_path))
    answers = [*import_module("precision").answers(places.runs / recipe.run, recipe)]
    assert len(answers) == 4
    assert [each["float16"] for each in answers] == [each["float32"] for each in answers]
    found = import_module("precision").table(pd.DataFrame(answers))
    assert found[["corpus", "clips", "changed"]].values.tolist() == [
        *[["ravdess", 4, 0.0]] * 2,
        *[["mean of corpora", 4, 0.0]] * 2,
    ]
