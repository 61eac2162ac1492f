"""Test DEMoS from recordings to Table III on synthetic files, without the corpus.

The names are the real ones, all 1,167 of the paper's subset; the voices are made up, so the
numbers are no results and stay in the test's own folder.
"""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from affekt.cli import main
from affekt.corpora import CORPORA
from affekt.corpora.spec import recognize
from affekt.runs.reading import find_runs, read_run
from synthetic_speech import RATE, Speaker

RECIPES = Path(__file__).parents[1] / "recipes"
COUNTS = {"angry": 246, "happy": 167, "sad": 422, "neutral": 332}


@pytest.fixture(scope="module")
def demos(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as the corpus, with a file of the wrong kind among the others."""
    root = tmp_path_factory.mktemp("corpora") / "wav_DEMoS"
    with (data / "demos-filelist.csv").open(encoding="utf-8") as table:
        names = [row["file"] for row in csv.DictReader(table)]
    clips, _ = recognize(CORPORA["demos"], names, "four")
    others = [name for name in names if "/NP_" in name or "_pau" in name][:3]
    speakers: dict[str, Speaker] = {}
    for clip in clips:
        speaker = speakers.setdefault(clip.speaker, Speaker(clip.speaker, clip.gender))
        take = np.random.default_rng([*clip.file.encode()])
        write(root / clip.file, speaker.say(clip.label, take))
    for name in others:
        write(root / name, np.zeros(RATE, np.float32))
    return root


def write(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE)


@pytest.fixture(scope="module")
def runs(demos: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rows of Table II: a baseline, chance, and a fold and an epoch of a cut CNN."""
    folder = tmp_path_factory.mktemp("shortened")
    network = folder / "demos-yamnet-lstm.toml"
    text = (RECIPES / network.name).read_text(encoding="utf-8")
    network.write_text(f"{text}blocks = 4\nepochs = 1\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFFEKT_CACHE", f"{folder / 'cache'}")
        for recipe, options in (
            (RECIPES / "demos-mfcc-svm.toml", ()),
            (RECIPES / "demos-chance-majority.toml", ()),
            (network, ("--folds", "1")),
        ):
            places = ("--data", f"{demos}", "--runs", f"{folder / 'runs'}")
            assert main(["run", f"{recipe}", *places, "--weights", f"{weights}", *options]) == 0
    return folder / "runs"


def test_the_corpus_is_complete(
    demos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["corpus", "demos", f"{demos}", "-o", f"{tmp_path / 'manifest.csv'}"]) == 0
    clips = pd.read_csv(tmp_path / "manifest.csv", skiprows=1)
    assert Counter(clips["label"]) == COUNTS
    assert Counter(clips.groupby("speaker")["gender"].first()) == {"m": 42, "f": 23}
    assert "65" in capsys.readouterr().out
    classes = clips.groupby("speaker")["label"].nunique()
    whole = [speaker.removeprefix("demos:") for speaker in classes[classes == len(COUNTS)].index]
    text = " ".join((RECIPES.parent / "docs" / "method.md").read_text(encoding="utf-8").split())
    assert f"all four classes: {', '.join(whole[:-1])} and {whole[-1]}." in text


def test_every_clip_is_tested_once_with_its_speaker_held_out(runs: Path) -> None:
    found = {run.recipe: run for run in map(read_run, find_runs([runs]))}
    assert {name: len(run.folds) for name, run in found.items()} == {
        "demos-mfcc-svm": 10,
        "demos-chance-majority": 10,
        "demos-yamnet-lstm": 1,
    }
    run = found["demos-mfcc-svm"]
    assert Counter(run.predictions["truth"]) == COUNTS
    assert not run.predictions["file"].duplicated().any()
    assert set(run.predictions.groupby("fold")["truth"].nunique()) == {len(COUNTS)}
    tested = run.parts[run.parts["part"] == "test"]
    assert sorted(tested.groupby("fold")["speaker"].nunique()) == [6] * 5 + [7] * 5
    alike = [found[name].parts.reset_index(drop=True) for name in found]
    pd.testing.assert_frame_equal(alike[0], alike[1])
    pd.testing.assert_frame_equal(alike[0], alike[2])


def test_table_three_comes_out_as_in_the_paper(runs: Path, tmp_path: Path) -> None:
    assert main(["report", f"{runs}", "-o", f"{tmp_path}"]) == 0
    name = "demos-10-speaker-folds-4"
    third = pd.read_csv(tmp_path / f"{name}-table-3.csv", index_col="truth")
    assert list(third.columns) == [*COUNTS, "recall"]
    counts = third[list(COUNTS)]
    assert counts.sum(axis=1).to_dict() == COUNTS
    recalls = np.diag(counts) / counts.sum(axis=1)
    assert third["recall"].to_numpy() == pytest.approx(recalls.to_numpy())
    second = pd.read_csv(tmp_path / f"{name}-table-2.csv", index_col="recipe")
    assert second.loc["demos-mfcc-svm", "uar"] == pytest.approx(recalls.mean())
    assert second.loc["demos-mfcc-svm", "uar"] > 0.8  # pitch, tempo and level tell
    assert second["paper"].to_dict() == pytest.approx(
        {"demos-mfcc-svm": 0.649, "demos-yamnet-lstm": 0.780, "demos-chance-majority": np.nan},
        nan_ok=True,
    )
    first = pd.read_csv(tmp_path / f"{name}-table-1.csv", index_col="label")
    assert first["clips"].to_dict() == {**COUNTS, "all": 1167}
    assert first.loc["all", "speakers"] == 65
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "1167 clips of 65 speakers, 4 classes." in page
    assert "<td>1 of 10 folds</td>" in page
