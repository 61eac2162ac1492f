"""Test that a model is adapted to a user's labels, and tested on speakers it did not learn from."""

import errno
import importlib
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import affekt
from affekt.cli import main
from affekt.corpora import Manifest, load
from affekt.corpora.clips import Clip
from affekt.errors import CorpusError, RunError
from affekt.evaluation.intervals import Interval
from affekt.experiments import finetuning
from affekt.model.model_file import load_pretrained, load_with_metadata
from affekt.report.model_card import Finetuned, write_card
from synthetic_network import made_sound, own_model

PITCHES = {"low": 90.0, "high": 400.0}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("AFFEKT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model to start from."""
    return own_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four speakers, two labels that differ in pitch."""
    folder = tmp_path_factory.mktemp("recordings")
    rows = ["file,label,speaker"]
    for speaker in range(4):
        for label, pitch in PITCHES.items():
            for take in range(2):
                name = f"{speaker}-{label}-{take}.wav"
                sound = made_sound(1.5, pitch + 7 * speaker + 3 * take)
                soundfile.write(folder / name, sound, 16_000)
                rows.append(f"{name},{label},{speaker}")
    (folder / "table.csv").write_text("\n".join(rows), encoding="utf-8")
    return folder / "table.csv"


def kept(table: Path, speakers: str) -> Path:
    """The rows of some speakers, as another table."""
    first, *rows = table.read_text(encoding="utf-8").splitlines()
    part = table.with_name(f"speakers-{speakers}.csv")
    part.write_text("\n".join([first, *(row for row in rows if row[-1] in speakers)]))
    return part


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Speakers of the clips scored, which the network that scores them must not have learned."""
    learned: set[str] = set()
    found: list[str] = []
    adapt, predict = finetuning.adapt, finetuning.predict_both

    def adapting(network: Any, manifest: Manifest, inputs: Any, rows: Any, seed: Any) -> Any:
        learned.clear()
        learned.update(manifest.clips[row].speaker for row in rows)
        return adapt(network, manifest, inputs, rows, seed)

    def predicting(network: Any, manifest: Manifest, inputs: Any, rows: Any) -> Any:
        held = [manifest.clips[row].speaker for row in rows]
        assert learned
        assert not learned & {*held}
        found.extend(held)
        return predict(network, manifest, inputs, rows)

    monkeypatch.setattr(finetuning, "adapt", adapting)
    monkeypatch.setattr(finetuning, "predict_both", predicting)
    return found


def test_an_adapted_model_is_a_model_file(
    table: Path,
    start: Path,
    tmp_path: Path,
    scored: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "mine.onnx"
    assert main(["finetune", str(table), "-o", str(file), "--model", str(start)]) == 0
    printed = capsys.readouterr().out
    assert "16 clips, 4 speakers" in printed
    assert "UAR on held-out speakers: " in printed
    assert "not known" not in printed
    assert Counter(scored) == {f"own:{speaker}": 4 for speaker in range(4)}
    predictor = affekt.load(file)
    assert sorted(predictor.labels) == sorted(PITCHES)
    for label in PITCHES:
        files = sorted(table.parent.glob(f"*-{label}-*.wav"))
        found = [predictor.predict(each).probabilities[label] for each in files]
        assert np.mean(found) > 0.6, found
    assert load_pretrained(file).architecture.labels == predictor.labels
    assert predictor.metadata["encoder"] == "A made encoder, MIT."  # of the start
    card = file.with_suffix(".md").read_text(encoding="utf-8")
    assert "16 clips, 4 speakers" in card
    assert "CC BY 4.0; CC0; own recordings" in card
    assert "| | enrolment | score |\n| --- | --- | --- |\n| UAR | none |" in card


def test_the_encoder_and_its_profiles_stay(table: Path, start: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.onnx"
    made = affekt.finetune(kept(table, "01"), file, model=start)
    before, after = load_pretrained(start).state_dict(), load_pretrained(made.file).state_dict()
    for name, weight in before.items():
        if name.startswith(("trunk.", "front_end.")):
            assert weight.equal(after[name]), name
    assert not before["head.attention"].equal(after["head.attention"])
    profile = affekt.load(start).enroll([table.parent / "3-low-0.wav"])
    assert affekt.load(file, profile=profile).predict(table.parent / "3-low-1.wav").label


def test_one_speaker_leaves_other_speakers_unknown(
    table: Path, start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["finetune", str(kept(table, "1")), "-o", str(tmp_path / "mine.onnx")]
    assert main([*command, "--model", str(start), "--label", "low=calm"]) == 0
    *_, scores, unknown = capsys.readouterr().out.splitlines()
    assert scores.startswith("UAR on held-out recordings of the only speaker: ")
    assert unknown.startswith("UAR on other speakers: not known.")
    card = (tmp_path / "mine.md").read_text(encoding="utf-8")
    assert "How well the model recognizes other speakers is not known." in card
    assert affekt.load(tmp_path / "mine.onnx").labels == ("calm", "high")


def test_folders_named_after_labels_are_learned(
    table: Path,
    start: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for file in table.parent.glob("[01]-*-0.wav"):
        _, label, _ = file.name.split("-")
        copied = tmp_path / "recordings" / label / file.name
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path / "recordings")
    words = ["finetune", ".", "-o", str(tmp_path / "mine.onnx")]
    assert main([*words, "--model", str(start)]) == 2
    assert "Give --speaker" in capsys.readouterr().err
    assert main([*words, "--model", str(start), "--speaker", r"(\d)-"]) == 0
    assert "high, low; 4 clips, 2 speakers" in capsys.readouterr().out
    assert "recordings of `recordings`" in (tmp_path / "mine.md").read_text(encoding="utf-8")


def test_the_encoder_of_an_older_model_is_credited(start: Path) -> None:
    network, facts, _ = load_with_metadata(start)
    del facts["encoder"]
    clip = Clip("a.wav", "low", "own:1", seconds=1.0)
    manifest = Manifest("own", "all", ("low", "high"), Path(), (clip,))
    made = finetuning._described(network, facts, manifest, "mine", 0)
    assert made["encoder"].startswith("YAMNet of Google, Apache-2.0, ")


def test_no_speaker_is_on_both_sides() -> None:
    clips = tuple(
        Clip(f"{speaker}{take}.wav", label, f"own:{speaker}", seconds=1.0)
        for speaker in "abcdefg"
        for take, label in enumerate("xxyz")
    )
    manifest = Manifest("own", "all", ("x", "y", "z"), Path(), clips)
    folds = finetuning.folds_of(manifest)
    assert len(folds) == finetuning.FOLDS
    assert sorted(row for _, held in folds for row in held) == list(range(len(clips)))
    for learnt, held in folds:
        assert {*learnt} | {*held} == {*range(len(clips))}
        assert not {clips[row].speaker for row in learnt} & {clips[row].speaker for row in held}
        assert {clips[row].label for row in held} == {"x", "y", "z"}
    alone = replace(manifest, clips=tuple(replace(clip, speaker="own:a") for clip in clips))
    assert finetuning.folds_of(alone)
    with pytest.raises(CorpusError, match=r"Got 1 speaker of z\. "):
        finetuning.folds_of(replace(manifest, clips=clips[:7]))


def test_every_label_is_learned_in_every_fold() -> None:
    counts = {"a": "yyz", "b": "xxxxy", "c": "yz", "d": "xzz"}  # two folds would hold b and d back
    clips = tuple(
        Clip(f"{who}-{number}.wav", label, f"own:{who}", seconds=1.0)
        for who, labels in counts.items()
        for number, label in enumerate(labels)
    )
    for order in (clips, clips[::-1]):
        folds = finetuning.folds_of(Manifest("own", "all", ("x", "y", "z"), Path(), order))
        assert sorted(row for _, held in folds for row in held) == list(range(len(clips)))
        for learnt, held in folds:
            assert {order[row].label for row in learnt} == {*"xyz"}
            assert not {order[i].speaker for i in learnt} & {order[i].speaker for i in held}


def test_equal_labels_start_with_their_weights(start: Path) -> None:
    network = load_pretrained(start)
    labels = ("new", "sad", "angry")
    adapted = finetuning._with_labels(network, labels, pretrained=True)
    old, new = network.head.classes, adapted.head.classes
    for label in labels[1:]:
        at, was = labels.index(label), network.architecture.labels.index(label)
        assert new.weight[..., at].equal(old.weight[..., was])
        assert new.bias[..., at].equal(old.bias[..., was])
    fresh = finetuning._with_labels(network, labels, pretrained=False)
    assert not fresh.head.attention.equal(network.head.attention)
    assert fresh.trunk.state_dict().keys() == network.trunk.state_dict().keys()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "at least one"),
        ("0-low-0.wav,low,0\n1-low-0.wav,low,1", "two or more labels"),
        ("0-low-0.wav,low,0\n1-low-0.wav,low,1\n0-high-0.wav,high,0", "1 speaker of high"),
        ("0-low-0.wav,low,0\n0-high-0.wav,high,0\n0-high-1.wav,high,0", "1 recording of low"),
        ("0-low-0.wav,low,0\ngone.wav,low,1", "gone.wav"),
        ("0-low-0.wav,low,0\ntable.csv,low,1", "table.csv"),
        (
            "0-low-0.wav,low,0\ngone.wav,low,1",
            ". Correct the files, or leave them out of the table.",
        ),
        ("0-low-0.wav,low", "line 2"),
    ],
)
def test_bad_tables_are_refused_in_one_line(
    table: Path, tmp_path: Path, rows: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    part = table.with_name("part.csv")
    part.write_text(f"file,label,speaker\n{rows}", encoding="utf-8")
    assert main(["finetune", str(part), "-o", str(tmp_path / "x.onnx")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert "partial" not in line
    assert not (tmp_path / "x.onnx").exists()


def test_a_model_without_profiles_gets_no_score_with_enrolment(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.onnx"
    start = own_model(tmp_path, speaker_normalization=False)
    assert main(["finetune", str(kept(table, "01")), "-o", str(file), "--model", str(start)]) == 0
    printed = capsys.readouterr().out.splitlines()[-1]
    assert printed.endswith(" without enrolment; chance 0.500")
    card = file.with_suffix(".md").read_text(encoding="utf-8")
    assert "\n| UAR | all |" not in card
    assert "profile |" not in card
    assert "The model takes no profile." in card
    assert " without enrolment |\n| licence" in card


@pytest.mark.parametrize("option", ["--label", "--column"])
def test_a_name_is_renamed_once(
    table: Path, tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["finetune", str(table), "-o", str(tmp_path / "x.onnx")]
    assert main([*command, option, "low=sad", option, "low=angry"]) == 2
    assert f"{option} must rename low once. Got it twice." in capsys.readouterr().err


def test_outputs_that_cannot_be_written_are_refused_first(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = tmp_path / "notes.md"
    notes.write_text("Own notes.")
    for output in ("notes.onnx", "notes.txt", "gone/x.onnx"):
        assert main(["finetune", str(table), "-o", str(tmp_path / output)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert output.partition(".")[0] in line
    assert notes.read_text() == "Own notes."


def test_an_output_that_cannot_be_written_is_named(
    start: Path,
    table: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(**_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(finetuning, "TemporaryFile", refuse)
    words = ["finetune", str(table), "-o", str(tmp_path / "x.onnx"), "--model", str(start)]
    assert main(words) == 2
    assert "x.onnx cannot be written: Read-only file system. Name" in capsys.readouterr().err


def test_sigterm_ends_it_as_ctrl_c(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    def interrupted(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr("os._exit", interrupted)
    for function, words in {
        "finetuning.finetune": ["finetune", str(table), "-o", str(tmp_path / "x.onnx")],
        "runner.run": ["run", "ravdess-yamnet-lstm", "--data", str(tmp_path)],
    }.items():
        monkeypatch.setattr(f"affekt.experiments.{function}", stopped)
        with pytest.raises(SystemExit, match="130"):
            main(words)


def test_the_default_model_learns_emovo(data: Path, tmp_path: Path) -> None:
    manifest = load("emovo", data / "emovo")
    chosen = [clip for at, clip in enumerate(manifest.clips) if at % 8 == 0]
    rows = [f"emovo/{clip.file},{clip.label},{clip.speaker[-2:]}" for clip in chosen]
    (tmp_path / "emovo").symlink_to(manifest.root)
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["file,label,speaker", *rows]), encoding="utf-8")
    made = affekt.finetune(table, tmp_path / "mine.onnx", model="affekt-small")
    assert made.labels == ("angry", "happy", "sad", "neutral")
    assert made.uar.value > 0.5
    own = affekt.load(made.file).graph.metadata["corpora"][-1]
    assert own["speakers"] == [f"own:{name}" for name in ("f1", "f2", "f3", "m1", "m2", "m3")]


def test_the_benchmark_never_tests_on_speakers_it_learned_from() -> None:
    bench = importlib.import_module("finetune")
    for case, speakers in (
        (bench.CASES["emovo"], tuple(f"emovo:{sex}{n}" for sex in "fm" for n in (1, 2, 3))),
        (bench.CASES["cremad"], tuple(f"cremad:{number}" for number in range(1001, 1092))),
    ):
        for amount, _, learn, test in bench.draws(case, speakers):
            assert len(learn) == len({*learn}) == amount
            assert not {*learn} & {*test}
        tests = {tuple(test) for *_, test in bench.draws(case, speakers)}
        assert len(tests) == (3 if case.corpus == "emovo" else 1)
    clips = (Clip("a.wav", "x", "own:a", seconds=1.0), Clip("b.wav", "x", "own:b", seconds=1.0))
    manifest = Manifest("own", "all", ("x",), Path(), clips)
    with pytest.raises(SystemExit, match="share no speaker"):
        bench.rows_of(manifest, ["own:a"], ["own:a", "own:b"])
    known = {"corpora": [{"speakers": ["own:a"], "validation_speakers": []}]}
    with pytest.raises(SystemExit, match="It knows own:a"):
        bench.refuse_known(known, ["own:a"])


def test_a_card_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    score = Interval(0.5, 0.4, 0.6)
    file = tmp_path / "gone/mine.onnx"
    made = Finetuned(file, ("low", "high"), 16, 4, score, score, {"low": score}, (1.0, 1.0))
    with pytest.raises(RunError, match="cannot be written") as error:
        write_card(made, {}, tmp_path / "start.onnx", "table.csv", "CC0")
    assert "\n" not in str(error.value)
