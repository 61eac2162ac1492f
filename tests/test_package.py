"""Test the built package: complete in an empty folder, with correct metadata."""

import email
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import affekt
from affekt.cli import main
from affekt.corpora import CORPORA
from affekt.errors import RecipeError
from affekt.experiments.recipe_files import read_recipe
from affekt.inference.shipped_models import MODELS
from affekt.model.pretrained import OFFICIAL

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://example.org/affekt"
CARDS = sorted(MODELS.glob("*.md"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from what Docker sees of the checkout."""
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    source.mkdir()
    skip = shutil.ignore_patterns("__pycache__", "node_modules", "*.egg-info")
    seen = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    for path in (ROOT / name for name in re.findall(r"^!(.+)$", seen, re.MULTILINE)):
        if path.is_dir():
            shutil.copytree(path, source / path.name, ignore=skip)
        else:
            shutil.copy(path, source)
    words = ["pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", str(folder)]
    environment = {**os.environ, "AFFEKT_REPOSITORY": REPOSITORY}
    run(sys.executable, "-m", *words, str(source), cwd=folder, env=environment)
    (built,) = folder.glob("*.whl")
    return built


def run(*words: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        words, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_commands_work_from_the_wheel_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    affekt_command = [sys.executable, "-m", "affekt"]

    def printed(*words: str) -> str:
        return run(*affekt_command, *words, cwd=empty, env=environment)

    assert printed("--version") == f"affekt {affekt.__version__}\n"
    lines = [json.loads(line) for line in printed("predict", "--demo", "--json").splitlines()]
    assert [each["file"] for each in lines] == [
        path.name for path in sorted((ROOT / "samples").glob("*.flac"))
    ]
    assert str(installed) in printed("predict", "--demo", "--timeline", "--csv")
    assert str(installed) in printed("models")
    knobs = json.loads(printed("recipe", "ravdess-yamnet-lstm", "--json"))
    assert knobs["digest"] == read_recipe(ROOT / "recipes" / "ravdess-yamnet-lstm.toml").digest
    assert not [*empty.iterdir()]


def test_a_prediction_writes_and_reports_nothing(tmp_path: Path) -> None:
    """ONNX Runtime would keep an id of the device and events about its use, and send them."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {"HOME": str(home), "PYTHONPATH": str(ROOT / "src")}
    words = ["-m", "affekt", "predict", "--demo"]
    run(sys.executable, *words, cwd=home, env=environment)
    assert [*home.rglob("*")] == []


def test_a_recipe_by_name_runs_in_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nothing").mkdir()
    assert main(["run", "ravdess-chance-majority", "--data", "nothing"]) == 2
    assert "nothing" in capsys.readouterr().err  # the recipe was found, the corpus was not
    told = r"such as ravdess-yamnet\.toml, .* such as ravdess-yamnet-lstm.* Got ravdess-yamnet\."
    with pytest.raises(RecipeError, match=told):
        read_recipe("ravdess-yamnet")
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "ravdess-yamnet-lstm.toml").write_text("epochs = 3\n")
    assert read_recipe("ravdess-yamnet-lstm").epochs == 3  # one's own comes first


def test_demo_takes_no_paths(capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (["--demo", "a.wav"], "--demo cannot be combined with PATH."),
        (["--demo", "--resume", "--json", "-o", "x"], "--demo cannot be combined with --resume."),
        ([], "PATH is missing. Name recordings or folders, or try --demo."),
    ):
        assert main(["predict", *words]) == 2
        assert message in capsys.readouterr().err


def test_the_wheel_has_the_metadata_for_pypi(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        about = email.message_from_bytes(archive.read(metadata))
    assert about["Version"] == affekt.__version__
    assert about["Author"] == "affekt developers"
    assert f"Repository, {REPOSITORY}" in about.get_all("Project-URL", [])
    assert {"LICENSE", "NOTICE.md"} <= {*about.get_all("License-File", [])}
    readme = str(about.get_payload())
    targets = re.findall(r"\]\(([^)]+)\)", readme)
    assert len(targets) > 15
    assert all(target.startswith("https://") for target in targets)
    assert "![The page" in readme
    assert f"{REPOSITORY}/raw/main/docs/page.png" in targets
    paths = [target.removeprefix(f"{REPOSITORY}/") for target in targets if REPOSITORY in target]
    for path in paths:
        assert (ROOT / re.sub(r"^(blob|raw)/main/|#.*", "", path)).exists(), path
    for folder, pattern in (("recipes", "*"), ("samples", "*"), ("web", "*.js")):
        shipped = {Path(name).name for name in names if name.startswith(f"affekt/{folder}/")}
        assert shipped == {each.name for each in (ROOT / folder).glob(pattern)}


def test_the_metadata_name_the_licence_of_each_part() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    notice = (ROOT / "NOTICE.md").read_text(encoding="utf-8")
    for term, name in (
        *((each, each) for each in ("Apache-2.0", "MIT", "BSD-2-Clause")),
        ("CC BY-NC-SA 4.0", "CC-BY-NC-SA-4.0"),
        *(("ODbL 1.0", "ODbL-1.0"), ("DbCL 1.0", "LicenseRef-DbCL-1.0")),
        ("EMOVO (research)", "LicenseRef-EMOVO-research"),
    ):
        assert term in notice
        assert name in project["license"].split(" AND ")


def test_versions_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == affekt.__version__
    assert citation["cff-version"] == "1.2.0"
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## [{affekt.__version__}]" in changes
    unreleased = re.findall(r"^## \[(.+)\] - unreleased$", changes, re.MULTILINE)
    assert unreleased in ([], [affekt.__version__])  # the pages speak of earlier releases


@pytest.mark.parametrize("card", CARDS, ids=lambda path: path.stem)
def test_cards_credit_what_the_model_was_made_from(
    card: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Creative Commons licences ask for authors, source and licence."""
    _, head, text = card.read_text(encoding="utf-8").split("---\n", 2)
    fields = yaml.safe_load(head)
    assert fields["pipeline_tag"] == "audio-classification"
    assert fields["library_name"] == "affekt"
    assert fields["license"]
    assert fields["license"] != "other" or {"license_name", "license_link"} <= {*fields}
    assert "\n- Encoder: " in text
    assert main(["models", card.stem]) == 0
    printed = capsys.readouterr().out
    plain = " ".join(text.split())
    for each in affekt.load(card.stem).metadata["corpora"]:
        corpus = CORPORA[each["name"]]
        people = corpus.credit.rpartition(", ")[0]
        for wanted in filter(None, [people, corpus.source, *corpus.licence_link.split(", ")]):
            assert wanted in plain
            assert wanted in printed
    (encoder,) = re.findall(r"^- (Encoder: .*(?:\n  .*)*)", text, re.MULTILINE)
    assert " ".join(encoder.split()) in printed
    assert " ".join(encoder.split()) in [f"Encoder: {each.credit}" for each in OFFICIAL.values()]


def test_every_corpus_names_its_authors_and_source() -> None:
    for corpus in CORPORA.values():
        assert re.fullmatch(r".+ \(\d{4}\), \S.*", corpus.credit)
        assert corpus.source.startswith("http")
        assert ("CC BY" in corpus.licence) <= bool(corpus.licence_link)


def test_the_cards_in_the_docs_begin_with_their_heading() -> None:
    page = (ROOT / "docs" / "card.md").read_text(encoding="utf-8")
    included = re.findall(r"\{include\} (\S+)\n.*\n?:start-line: (\d+)", page)
    assert {Path(name).name for name, _ in included} == {card.name for card in CARDS}
    for name, line in included:
        lines = (ROOT / "docs" / name).read_text(encoding="utf-8").splitlines()
        assert "# Model card: " in "\n".join(lines[int(line) : int(line) + 2])


def test_workflows_and_hooks_are_whole() -> None:
    """GitHub runs `make check` on three systems and four Pythons, those that pyproject names."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text(encoding="utf-8"))
    matrix = workflow["jobs"]["check"]["strategy"]["matrix"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = re.findall(r"Python :: (3\.\d+)", " ".join(project["classifiers"]))
    assert matrix["python"] == named == ["3.11", "3.12", "3.13", "3.14"]
    assert [name.partition("-")[0] for name in matrix["os"]] == ["ubuntu", "macos", "windows"]
    commands = [step.get("run", "") for step in workflow["jobs"]["check"]["steps"]]
    assert any(command.startswith("make check") for command in commands)
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [hook["id"] for hook in hooks["repos"][0]["hooks"]][:3] == [
        "ruff-format",
        "ruff-check",
        "mypy",
    ]
    nox = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    assert all(f'"{version}"' in nox for version in named)
