"""Test runs: finished folds are not repeated, and killed runs resume to equal results."""

import csv
import errno
import json
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from affekt import engines
from affekt.cli import main
from affekt.corpora.folds import Fold, read_folds
from affekt.engines import local
from affekt.errors import AffektError, RunError
from affekt.experiments import baselines
from affekt.experiments.recipe import Recipe
from affekt.experiments.runner import free_first, prepare, run
from affekt.model.classifier import load_classifier
from affekt.model.yamnet import BLOCKS
from affekt.runs.folder import Locations, usual_locations
from affekt.runs.progress import show_progress
from affekt.runs.reading import DONE, read_run
from synthetic_corpus import make_corpus, own_recipe, places_in, tiny_recipe
from worker_functions import die_at_two, forked, inline, run_and_die, run_inline

SPEAKERS = 3
LABELS = ("angry", "happy", "sad", "neutral")
NETWORK = tiny_recipe()
OWN = own_recipe()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus") / "ravdess", speakers=SPEAKERS)


@pytest.fixture(scope="module")
def undisturbed(corpus: Path) -> Path:
    """The run folder of a network that nothing happened to."""
    places = places_in(corpus.parent, corpus)
    assert run(NETWORK, places, engine=inline) == ()
    return places.runs / NETWORK.run


@pytest.fixture(scope="module")
def undisturbed_own(corpus: Path) -> Path:
    """The run folder of affekt's own network that nothing happened to."""
    places = places_in(corpus.parent, corpus)
    assert run(OWN, places, folds=[1], engine=inline) == ()
    return places.runs / OWN.run


def result_of(folder: Path, folds: int = SPEAKERS) -> list[object]:
    """All that a run must give again: answers, curves without seconds, weights, activations."""
    found: list[object] = []
    for number in range(1, folds + 1):
        own = folder / f"fold-{number}"
        curve = (own / "curve.csv").read_text().splitlines()
        classifier, facts = load_classifier(own / "model.pt")
        arrays = [tensor.numpy() for tensor in classifier.state_dict().values()]
        arrays.append(np.load(own / "activations.npz")["activations"])
        found += [
            {path.name: path.read_text() for path in own.glob("*.csv") if path.stem != "curve"},
            [line.rpartition(",")[0] for line in curve],
            [sha256(array.tobytes()).hexdigest() for array in arrays],
            (facts["best_epoch"], json.loads((own / DONE).read_text())["best_epoch"]),
        ]
    return found


def rows_of(folder: Path) -> list[dict[str, str]]:
    files = sorted(folder.glob("fold-*/predictions.csv"))
    return [row for file in files for row in csv.DictReader(file.read_text().splitlines())]


def test_a_run_tests_every_clip_once_and_records_facts(undisturbed: Path, corpus: Path) -> None:
    rows = rows_of(undisturbed)
    assert sorted(row["file"] for row in rows) == sorted(
        path.relative_to(corpus).as_posix() for path in corpus.rglob("*-0[1345]-01-01-01-*.wav")
    )
    for fold in read_folds(undisturbed / "folds.csv"):
        own = undisturbed / f"fold-{fold.number}"
        assert {row["speaker"] for row in rows if row["fold"] == str(fold.number)} == {*fold.test}
        assert not {*fold.test} & {*fold.train, *fold.validation}
        facts = json.loads((own / DONE).read_text())
        assert facts["recipe"] == "tiny"
        assert facts["digest"] == NETWORK.digest
        assert facts["test_speakers"] == list(fold.test)
        assert set(facts["versions"]) > {"python", "torch", "affekt"}
        assert facts["hardware"].endswith("cores")
        trained_on = load_classifier(own / "model.pt")[1]["corpora"][0]
        assert trained_on["speakers"] == list(fold.train)
        assert sorted(path.name for path in own.iterdir()) == [
            "activations.npz",
            "curve.csv",
            "lock",
            "model.pt",
            "predictions.csv",
            DONE,
            "validation.csv",
        ]
        answered = [*csv.DictReader((own / "validation.csv").read_text().splitlines())]
        assert list(answered[0]) == list(rows[0])
        assert Counter(row["speaker"] for row in answered) == dict.fromkeys(fold.validation, 4)
    whole = read_run(undisturbed)
    assert whole.complete
    assert whole.knobs == json.loads(json.dumps(NETWORK.values()))


def test_predictions_equal_those_of_the_saved_network(undisturbed: Path, corpus: Path) -> None:
    """From the sound itself, window by window, as a user of the model would ask it."""
    from affekt.audio.reading import read
    from affekt.audio.windows import sliding_windows

    for row in rows_of(undisturbed)[:3]:
        classifier, _ = load_classifier(undisturbed / f"fold-{row['fold']}" / "model.pt")
        windows = torch.tensor(sliding_windows(read(corpus / row["file"])))
        state = {name: tensor[0] for name, tensor in classifier.start(1).items()}
        with torch.inference_mode():
            outputs, _ = classifier.step(windows, state)
        given = [float(row[f"p_{label}"]) for label in classifier.architecture.labels]
        np.testing.assert_allclose(outputs["probabilities"][-1].numpy(), given, atol=1e-4)


def with_other_test_speaker(corpus: Path, folder: Path) -> Path:
    """A copy of the corpus in which recordings of fold 1's test speaker exchange their names."""
    copy = shutil.copytree(corpus, folder / "ravdess")
    files = sorted((copy / "Actor_01").glob("03-01-0[1345]-*.wav"))
    contents = [file.read_bytes() for file in files]
    for file, content in zip(files, [*contents[1:], contents[0]], strict=True):
        file.write_bytes(content)
    return copy


@pytest.mark.parametrize(
    ("recipe", "before"),
    [(NETWORK, "undisturbed"), (OWN, "undisturbed_own")],
    ids=["trained", "frozen"],
)
def test_recordings_of_test_speakers_change_no_weight(
    recipe: Recipe, before: str, corpus: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    other = with_other_test_speaker(corpus, tmp_path)
    for file in (other / "Actor_01").glob("*.wav"):
        sound, rate = soundfile.read(file)
        soundfile.write(file, sound / 2, rate)
    places = places_in(tmp_path, other)
    run_inline(recipe, places, [1])
    folders = (request.getfixturevalue(before), places.runs / recipe.run)
    one, two = (load_classifier(each / "fold-1" / "model.pt")[0].state_dict() for each in folders)
    for name, weight in one.items():
        assert torch.equal(weight, two[name]), name


def test_labels_of_test_speakers_change_no_prediction_of_a_baseline(
    corpus: Path, tmp_path: Path
) -> None:
    recipe, found = tiny_recipe(method="mfcc-svm"), []
    for data in (corpus, with_other_test_speaker(corpus, tmp_path / "other")):
        places = places_in(tmp_path / data.parent.name, data)
        run_inline(recipe, places, [1])
        rows = {(data / row["file"]).read_bytes(): row for row in rows_of(places.runs / recipe.run)}
        found.append([[float(rows[each][f"p_{x}"]) for x in LABELS] for each in sorted(rows)])
    assert np.std(found[0], axis=0).max() > 0.01
    np.testing.assert_allclose(found[0], found[1], atol=2e-6)


def test_the_local_engine_gives_the_same_results(
    undisturbed: Path, corpus: Path, tmp_path: Path
) -> None:
    places = places_in(tmp_path, corpus)
    assert run(NETWORK, places, jobs=2) == ()
    assert result_of(places.runs / NETWORK.run) == result_of(undisturbed)


def test_finished_folds_are_not_repeated(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, places = tiny_recipe(method="chance-stratified"), places_in(tmp_path, corpus)
    assert run(recipe, places, folds=[2], engine=inline) == ()
    folder = places.runs / recipe.run
    assert sorted(path.parent.name for path in folder.glob(f"*/{DONE}")) == ["fold-2"]
    assert not read_run(folder).complete
    before = (folder / "fold-2" / DONE).stat().st_mtime_ns
    asked = []

    def engine(function: Callable[[Any], None], items: Any, *, jobs: int | None) -> Any:
        items = list(items)
        asked.append([item.number for item in items])
        return inline(function, items, jobs=jobs)

    assert run(recipe, places, engine=engine) == ()
    assert asked == [[1, 3]]
    assert (folder / "fold-2" / DONE).stat().st_mtime_ns == before
    assert run(recipe, places, engine=engine) == ()
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("name", "epoch"),
    [
        ("folds.csv", 1),
        ("curve.csv", 1),
        ("last.pt", 1),
        ("last.pt", 2),
        ("curve.csv", 3),
        ("model.pt", 1),
        ("result.json", 1),
    ],
)
def test_killed_before_each_file_then_resumed(
    undisturbed: Path, corpus: Path, tmp_path: Path, name: str, epoch: int
) -> None:
    places = places_in(tmp_path, corpus)
    killed = forked(run_and_die, NETWORK, places, name, epoch)
    killed.start()
    killed.join()
    folder = places.runs / NETWORK.run
    assert killed.exitcode == -9
    assert not (folder / "fold-1" / DONE).exists()
    run_inline(NETWORK, places, [1])
    assert result_of(folder, folds=1) == result_of(undisturbed, folds=1)


@pytest.mark.parametrize(
    ("name", "epoch"),
    [
        ("last.pt", 1),
        ("last.pt", 2),
        ("curve.csv", 3),
        ("model.pt", 1),
        ("result.json", 1),
    ],
)
def test_the_own_network_killed_then_resumed(
    undisturbed_own: Path, corpus: Path, tmp_path: Path, name: str, epoch: int
) -> None:
    """A resumed run has the schedule, simulated speakers and profiles of an uninterrupted one."""
    places = places_in(tmp_path, corpus)
    killed = forked(run_and_die, OWN, places, name, epoch)
    killed.start()
    killed.join()
    assert killed.exitcode == -9
    folder = places.runs / OWN.run
    assert not (folder / "fold-1" / DONE).exists()
    run_inline(OWN, places, [1])
    assert result_of(folder, folds=1) == result_of(undisturbed_own, folds=1)


def test_killed_twenty_times_then_resumed(undisturbed: Path, corpus: Path, tmp_path: Path) -> None:
    """At random instants; a run that outruns them is checked, and another one begun."""
    instants = random.Random(0)
    kills = runs = 0
    while kills < 20:
        places = places_in(tmp_path / f"{runs}", corpus)
        runner = forked(run_inline, NETWORK, places)
        runner.start()
        runner.join(instants.uniform(0, 0.5))
        if runner.is_alive():
            runner.kill()
            runner.join()
            kills += 1
        else:
            assert runner.exitcode == 0
            assert result_of(places.runs / NETWORK.run) == result_of(undisturbed)
            runs += 1
    places = places_in(tmp_path / f"{runs}", corpus)
    run_inline(NETWORK, places)
    assert result_of(places.runs / NETWORK.run) == result_of(undisturbed)


def test_two_runners_share_a_folder(undisturbed: Path, corpus: Path, tmp_path: Path) -> None:
    places = places_in(tmp_path, corpus)
    runners = [forked(run_inline, NETWORK, places) for _ in range(2)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert [runner.exitcode for runner in runners] == [0, 0]
    assert result_of(places.runs / NETWORK.run) == result_of(undisturbed)


def test_locked_folds_come_last(undisturbed: Path, tmp_path: Path) -> None:
    from filelock import FileLock

    folds = read_folds(undisturbed / "folds.csv")
    (tmp_path / "fold-1").mkdir()
    with FileLock(tmp_path / "fold-1" / "lock"):
        order = free_first(tmp_path, folds)
        assert next(order).number == 2
        (tmp_path / "fold-3").mkdir(exist_ok=True)
        (tmp_path / "fold-3" / DONE).touch()  # done by another process meanwhile
        assert [fold.number for fold in order] == [1]


def test_a_dead_worker_costs_no_other_fold(
    undisturbed: Path,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "tiny.toml"
    knobs = "".join(f"{k} = {json.dumps(v)}\n" for k, v in NETWORK.changed.items())
    file.write_text(knobs, encoding="utf-8")
    words = ["run", f"{file}", "--data", f"{corpus}", "--runs", f"{tmp_path}", "--jobs", "1"]
    monkeypatch.setenv("AFFEKT_CACHE", f"{corpus.parent / 'cache'}")

    def deadly(*_: object) -> engines.Engine:
        return lambda function, items, *, jobs: local(
            partial(die_at_two, function), items, jobs=jobs
        )

    with monkeypatch.context() as patch:
        patch.setattr(engines, "engine_named", deadly)
        assert main(words) == 1
    error = capsys.readouterr().err
    assert "affekt: tiny, fold 2: its worker died (signal 9)" in error
    folder = tmp_path / NETWORK.run
    assert sorted(path.parent.name for path in folder.glob(f"*/{DONE}")) == ["fold-1", "fold-3"]
    assert main([*words, "--folds", "2"]) == 0
    assert capsys.readouterr().out.endswith(f"; 3 of 3 folds\n{folder}\n")
    assert result_of(folder) == result_of(undisturbed)


def test_a_full_disk_costs_no_epoch(
    undisturbed: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = places_in(tmp_path, corpus)
    write, room = Path.write_bytes, [1]  # last.pt of one epoch

    def full(path: Path, content: Any) -> int:
        if path.parent.name.startswith("fold-"):
            room[0] -= 1
            if room[0] < 0:
                write(path, content[: len(content) // 2])
                raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(RunError, match=r"fold-1 cannot be written: No space left on dev"):
            run_inline(NETWORK, places)
    own = places.runs / NETWORK.run / "fold-1"
    assert len(torch.load(own / "last.pt", weights_only=True)["curve"]) == 1
    run_inline(NETWORK, places)
    assert result_of(places.runs / NETWORK.run) == result_of(undisturbed)


@pytest.mark.parametrize("method", ["mfcc-rf", "gtcc-svm", "chance-majority"])
def test_runs_of_baselines(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    recipe = tiny_recipe(method, method=method)
    one, other = places_in(tmp_path / "one", corpus), places_in(tmp_path / "other", corpus)
    monkeypatch.setattr(baselines, "TREES", 10)
    run_inline(recipe, one)
    monkeypatch.setattr(baselines, "read_samples", None)  # they are computed once
    run_inline(recipe, other)
    folder = one.runs / recipe.run
    assert rows_of(folder) == rows_of(other.runs / recipe.run)
    assert len(rows_of(folder)) == 4 * SPEAKERS
    facts = json.loads((folder / "fold-1" / DONE).read_text())
    assert facts["best_epoch"] is None
    assert 0 <= facts["validation_uar"] <= 1
    assert bool(facts["chosen"]) == (not method.startswith("chance"))
    assert sorted(path.name for path in (folder / "fold-1").iterdir()) == [
        "lock",
        "predictions.csv",
        DONE,
    ]
    assert read_run(folder).complete


def test_all_labels_of_a_corpus(corpus: Path, tmp_path: Path) -> None:
    recipe, places = tiny_recipe(task="all", method="chance-majority"), places_in(tmp_path, corpus)
    run_inline(recipe, places)
    rows = rows_of(places.runs / recipe.run)
    assert len(rows) == 5 * SPEAKERS
    assert sum(column.startswith("p_") for column in rows[0]) == 8
    assert "calm" in {row["truth"] for row in rows}


def test_other_protocols(corpus: Path, tmp_path: Path) -> None:
    chance = tiny_recipe(method="chance-majority")
    for recipe, tested in (
        (chance.with_(protocol="speaker-folds", folds=3), [1, 1, 1]),
        (chance.with_(protocol="held-out", held_out=("ravdess:03",)), [1]),
    ):
        places = places_in(tmp_path, corpus)
        run_inline(recipe, places)
        folds = read_folds(places.runs / recipe.run / "folds.csv")
        assert [len(fold.test) for fold in folds] == tested


def test_progress_counts_one_fold_as_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with show_progress("tiny", 1, tmp_path, [Fold(1, ("toy:1",), (), ())]):
        pass
    assert capsys.readouterr().err == "tiny: 0 of 1 fold, 0 of 1 epoch\n"


def test_a_run_of_own_recordings(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a folder of own recordings to a network that names its training speakers."""
    own = tmp_path / "own"
    for file in corpus.rglob("*.wav"):
        folder = own / {"05": "wut", "03": "freude"}.get(file.name[6:8], "ruhe")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"p{file.stem[-2:]}-{file.name[6:8]}.wav").write_bytes(file.read_bytes())
    file = tmp_path / "mine.csv"
    assert main(["corpus", "mine", f"{own}", "--speaker", r"p(\d+)", "-o", f"{file}"]) == 0
    recipe = tmp_path / "clinic.toml"
    recipe.write_text('corpus = "mine"\ntask = "all"\nweights = "random"\nepochs = 1\n')
    words = ["run", f"{recipe}", "--data", f"{file}", "--runs", f"{tmp_path / 'runs'}"]
    assert main([*words, "--folds", "1", "--jobs", "1"]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert {row["truth"] for row in rows_of(folder)} == {"wut", "freude", "ruhe"}
    facts = load_classifier(folder / "fold-1" / "model.pt")[1]
    assert facts["corpora"][0]["licence"] == "own recordings"
    assert facts["encoder"] == ""  # its weights were random
    assert all(speaker.startswith("mine:") for speaker in facts["corpora"][0]["speakers"])
    recipe.write_text('corpus = "mine"\nmethod = "chance-majority"\n')
    capsys.readouterr()
    assert main(words) == 2
    assert "must be the manifest of mine, task four" in capsys.readouterr().err


def refused(recipe: Recipe, places: Locations, **options: Any) -> str:
    with pytest.raises(AffektError) as error:
        run(recipe, places, engine=inline, **options)
    assert "\n" not in str(error.value)
    return f"{type(error.value).__name__}: {error.value}"


def test_errors_before_the_first_fold(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = places_in(tmp_path, corpus)
    chance = tiny_recipe(method="chance-majority")
    incomplete = refused(chance.with_(partial=False), places)
    assert incomplete.startswith("CorpusError")
    assert incomplete.endswith("(affekt corpus --partial, affekt run --set partial=true).")
    assert "corpus must be one of" in refused(chance.with_(corpus="mine"), places)
    assert "must be in 1 to 3. Got 0, 9" in refused(chance, places, folds=[1, 9, 0])
    assert "weights yamnet.tflite" in refused(
        tiny_recipe(weights="yamnet.tflite"), Locations(corpus, tmp_path, tmp_path, tmp_path)
    )
    assert not list(tmp_path.rglob("fold-*"))
    file = tmp_path / "file"
    file.touch()
    assert "cannot be written" in refused(chance, Locations(corpus, file, tmp_path))
    assert "or set AFFEKT_CACHE to another folder" in refused(
        tiny_recipe(), Locations(corpus, tmp_path / "runs", file)
    )


def test_a_finished_run_needs_no_weights(corpus: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(weights="yamnet.tflite")
    places = Locations(corpus, tmp_path / "runs", tmp_path, tmp_path)
    folder = prepare(recipe, places)
    for number in range(1, SPEAKERS + 1):
        (folder / f"fold-{number}").mkdir()
        (folder / f"fold-{number}" / DONE).touch()
    assert run(recipe, places, engine=inline) == ()


@pytest.mark.parametrize("method", ["network", "mfcc-svm"])
def test_a_recording_without_features_is_one_line(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its header is right, so that it is found only when its features are computed."""
    corpus = make_corpus(tmp_path / "ravdess", speakers=SPEAKERS)
    bad = next(corpus.rglob("*-05-*.wav"))
    soundfile.write(bad, np.full(16_000, np.nan), 16_000, subtype="FLOAT")
    recipe, runs = tmp_path / "mine.toml", tmp_path / "runs"
    recipe.write_text(f'partial = true\nweights = "random"\nmethod = "{method}"\n')
    monkeypatch.setenv("AFFEKT_CACHE", f"{tmp_path / 'cache'}")
    assert main(["run", f"{recipe}", "--data", f"{corpus}", "--runs", f"{runs}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("affekt: ")
    assert f"{bad.name} " in line
    assert "Got nan" in line
    assert not list(tmp_path.rglob("fold-*"))
    assert not list(tmp_path.rglob("*.npy"))


def test_other_recordings_are_refused(tmp_path: Path) -> None:
    places = places_in(tmp_path, make_corpus(tmp_path / "ravdess"))
    recipe = tiny_recipe(method="chance-majority")
    run_inline(recipe, places)
    assert run(recipe, places) == ()
    next(places.data.rglob("*-05-*.wav")).unlink()
    assert f"Got other recordings in {places.data}. Use --runs" in refused(recipe, places)


def test_changed_recordings_are_refused(tmp_path: Path) -> None:
    places = places_in(tmp_path, make_corpus(tmp_path / "ravdess"))
    recipe = tiny_recipe(method="mfcc-svm")
    assert run(recipe, places, folds=[1], engine=inline) == ()
    change_a_recording(places.data)
    assert "Got the same names with other sound" in refused(recipe, places, folds=[2])


def test_recordings_that_change_within_the_first_fold_are_refused(tmp_path: Path) -> None:
    """Epochs of other recordings are not continued."""
    places = places_in(tmp_path, make_corpus(tmp_path / "ravdess"))
    killed = forked(run_and_die, NETWORK, places, "last.pt", 2)
    killed.start()
    killed.join()
    assert (places.runs / NETWORK.run / "fold-1" / "last.pt").is_file()
    change_a_recording(places.data)
    assert "Got the same names with other sound" in refused(NETWORK, places, folds=[1])


def change_a_recording(corpus: Path) -> None:
    file = next(corpus.rglob("*-05-*.wav"))
    content = bytearray(file.read_bytes())
    content[-4000:-3000] = bytes(1000)
    file.write_bytes(content)


def test_changed_knobs_are_refused(tmp_path: Path) -> None:
    places = places_in(tmp_path, make_corpus(tmp_path / "ravdess"))
    recipe = tiny_recipe(method="chance-majority")
    run_inline(recipe, places)
    file = places.runs / recipe.run / "recipe.json"
    knobs = json.loads(file.read_text())
    file.write_text(json.dumps({name: knobs[name] for name in knobs if name != "context"}))
    assert run(recipe, places) == ()
    assert json.loads(file.read_text()) == knobs  # completed: an earlier version lacked a knob
    file.write_text(json.dumps({**knobs, "hop": 7_801}))
    assert "that it began with. Got other hop. Use" in refused(recipe, places)
    file.write_text("[1")
    assert "recipe.json: must be JSON" in refused(recipe, places)


def test_usual_locations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AFFEKT_DATA", raising=False)
    monkeypatch.setenv("AFFEKT_CACHE", f"{tmp_path}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="Use --data FOLDER"):
        usual_locations("ravdess", data=None, runs=Path("runs"), weights=None)
    given = usual_locations("ravdess", data=Path("mine"), runs=Path("runs"), weights=None)
    assert given == Locations(tmp_path / "mine", tmp_path / "runs", tmp_path)
    monkeypatch.setenv("AFFEKT_DATA", f"{tmp_path / 'data'}")
    monkeypatch.delenv("AFFEKT_CACHE")
    usual = usual_locations("ravdess", data=None, runs=Path("runs"), weights=Path("w"))
    assert usual.data == tmp_path / "data" / "ravdess"
    assert usual.weights == tmp_path / "w"
    assert usual.cache.name == "affekt"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["none.toml"], "none.toml must be a recipe file"),
        (["{recipe}", "--folds", "one"], "--folds must read like 1,5. Got 'one'"),
        (["{recipe}", "--seed", "-1"], "seed of recipe mine must be int in [0"),
        (["{recipe}", "--engine", "slurm"], "--engine must be local or ray"),
        (["{recipe}", "--data", "nowhere"], "must be a folder. Got"),
        (["{recipe}", "--jobs", "0"], "Invalid value for '--jobs'"),
    ],
)
def test_usage_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], complaint: str
) -> None:
    (tmp_path / "mine.toml").write_text('method = "chance-majority"\n')
    given = [word.format(recipe=tmp_path / "mine.toml") for word in words]
    places = [] if "--data" in given else ["--data", f"{tmp_path}"]
    assert main(["run", *given, *places, "--runs", f"{tmp_path / 'runs'}"]) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1


def test_seed_of_the_command_line(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.toml").write_text('partial = true\nmethod = "chance-stratified"\n')
    words = ["run", f"{tmp_path / 'mine.toml'}", "--data", f"{corpus}", "--runs", f"{tmp_path}"]
    folders = []
    for seed in ("0", "7"):
        assert main([*words, "--seed", seed]) == 0
        score, folder = capsys.readouterr().out.splitlines()
        assert re.fullmatch(r"UAR on RAVDESS: 0\.\d{3} .*; chance 0\.250; 3 of 3 folds", score)
        folders.append(Path(folder))
        assert {row["seed"] for row in rows_of(folders[-1])} == {seed}
    assert folders[0] != folders[1]


@pytest.mark.corpus
@pytest.mark.parametrize("method", ["network", "mfcc-svm"])
def test_real_recordings(data: Path, weights: Path, tmp_path: Path, method: str) -> None:
    root = tmp_path / "ravdess"
    for actor in ("Actor_01", "Actor_02", "Actor_03"):
        (root / actor).mkdir(parents=True)
        for file in sorted((data / "ravdess" / actor).glob("03-01-0[1345]-*")):
            (root / actor / file.name).symlink_to(file)
    recipe = tiny_recipe(method=method).with_(weights="yamnet.tflite")
    recipe = recipe.with_(blocks=BLOCKS, epochs=1, batch=24) if method == "network" else recipe
    places = Locations(root, tmp_path / "runs", tmp_path / "cache", weights)
    assert run(recipe, places, folds=[1], engine=inline) == ()
    rows = rows_of(places.runs / recipe.run)
    assert len(rows) == 28
    right = sum(row["truth"] == row["predicted"] for row in rows)
    assert right > 28 / 4  # better than chance: pretrained on AudioSet
    if method == "network":
        facts = load_classifier(places.runs / recipe.run / "fold-1" / "model.pt")[1]
        assert facts["encoder"].startswith("YAMNet of Google, Apache-2.0, ")
