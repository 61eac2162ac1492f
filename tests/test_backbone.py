"""Speech encoders as trunk: they hear what their own library hears, and go all the way to ONNX."""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor, AutoModel

import affekt
from affekt.cli import main
from affekt.corpora import read_manifest
from affekt.corpora.folds import read_folds
from affekt.errors import ModelError, RecipeError
from affekt.evaluation.predictions import read_predictions
from affekt.experiments.fold import fill_cache, run_fold
from affekt.experiments.recipe import Recipe
from affekt.experiments.run_folder import Places, prepare
from affekt.model import export as exporting
from affekt.model.architecture import Architecture
from affekt.model.backbone import Backbone, LayerMix, load_backbone, read_form
from affekt.model.classifier import Classifier, load_classifier, save_classifier
from affekt.model.export import TOLERANCE, export
from made_corpus import make_corpus, places_in, tiny_recipe
from made_encoders import CONFIGS, LAYERS, WIDTH, make_encoder

FAMILIES = ("wav2vec2", "hubert", "wavlm", "whisper")
LABELS = ("angry", "happy", "sad", "neutral")


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("hub")
    return {kind: make_encoder(kind, root / kind) for kind in CONFIGS}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus") / "ravdess", speakers=4)


def loaded(folder: Path) -> Backbone:
    backbone = Backbone(read_form(f"hf:{folder}"))
    load_backbone(backbone, f"hf:{folder}")
    return backbone.eval()


def first_fold(recipe: Recipe, places: Places) -> Path:
    """Train and test it; its folder."""
    folder = prepare(recipe, places)
    fill_cache(recipe, read_manifest(folder / "manifest.csv", places.data), places)
    run_fold(recipe, read_folds(folder / "folds.csv")[0], folder, places)
    return folder / "fold-1"


def noise(windows: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    loudness = torch.tensor([0.001, 0.1, 1.0]).repeat(windows)[:windows, None]
    return loudness * torch.randn(windows, 15_600, generator=generator)


# ------------------------------------------------------------------------------- what it hears


@pytest.mark.parametrize("kind", CONFIGS)
def test_it_hears_what_its_own_library_hears(kind: str, encoders: dict[str, Path]) -> None:
    windows = noise()
    extractor = AutoFeatureExtractor.from_pretrained(encoders[kind])
    if kind.startswith("whisper"):
        frames = 2 * CONFIGS[kind].max_source_positions
        extractor.n_samples = 160 * frames  # of silence and sound; 30 s of the real ones
    heard = extractor(list(windows.numpy()), sampling_rate=16_000, return_tensors="pt")
    model = AutoModel.from_pretrained(encoders[kind]).eval()
    encoder = model.get_encoder() if kind.startswith("whisper") else model
    given = heard["input_features" if kind.startswith("whisper") else "input_values"]
    backbone = loaded(encoders[kind])
    with torch.inference_mode():
        layers = encoder(given, output_hidden_states=True).hidden_states
        found = backbone(windows)
    assert len(layers) == LAYERS + 1 == backbone.layers
    assert found.shape == (3, 48, 3 * WIDTH) == (3, backbone.steps, backbone.features)
    expected = torch.cat(layers, dim=-1)[:, :48]
    assert expected.std() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_whispers_mels_are_its_own(encoders: dict[str, Path]) -> None:
    """By themselves, so that no layer after them hides a difference."""
    windows = noise()
    windows[1, 5_000:] = 0.0
    extractor = AutoFeatureExtractor.from_pretrained(encoders["whisper"])
    extractor.n_samples = 32_000
    expected = extractor(list(windows.numpy()), sampling_rate=16_000, return_tensors="np")
    found = loaded(encoders["whisper"]).ears(windows)
    np.testing.assert_allclose(found, expected["input_features"], atol=2e-4)


def test_a_window_is_heard_by_itself(encoders: dict[str, Path]) -> None:
    for kind in FAMILIES:
        backbone = loaded(encoders[kind])
        with torch.inference_mode():
            together, alone = backbone(noise()), backbone(noise()[1:2])
        np.testing.assert_allclose(together[1:2], alone, atol=1e-5)


def test_training_leaves_nothing_to_chance_but_dropout(encoders: dict[str, Path]) -> None:
    """The library masks and skips by generators that no seed of a recipe reaches."""
    for kind in FAMILIES:
        backbone = loaded(encoders[kind]).train()
        answers = []
        for _ in range(2):
            torch.manual_seed(3)
            np.random.seed(len(answers))  # noqa: NPY002  # what the library would draw from
            answers.append(backbone(noise()))
        assert torch.equal(*answers)


def test_layers_are_weighed_the_same_at_first_and_learned(encoders: dict[str, Path]) -> None:
    mix, steps = LayerMix(3), torch.randn(2, 5, 4, 3 * WIDTH)
    mean = steps.reshape(2, 5, 4, 3, WIDTH).mean(3)
    torch.testing.assert_close(mix(steps), mean)
    with torch.no_grad():
        mix.scores[2] = 50.0
    torch.testing.assert_close(mix(steps), steps[..., 2 * WIDTH :])
    form = read_form(f"hf:{encoders['wavlm']}")
    network = Classifier(Architecture(LABELS, "waveform", backbone=form, head="mean"))
    network(noise(), torch.tensor([1, 2])).square().sum().backward()
    assert network.layers is not None
    assert network.layers.scores.grad.abs().min() > 0


# ------------------------------------------------------------------------------- the whole path


@pytest.mark.parametrize("kind", FAMILIES)
def test_from_recipe_to_prediction(
    kind: str,
    encoders: dict[str, Path],
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Train frozen, forget the hub, export, predict."""
    folder = make_encoder(kind, tmp_path / "encoder")
    recipe = tiny_recipe(
        backbone=f"hf:{folder}",
        weights="yamnet.tflite",
        frozen=True,
        profile=True,
        head="statistics",
        hop=15_360,
        tail="pad",
        epochs=3,
    )
    places = places_in(tmp_path, corpus)
    own = first_fold(recipe, places)
    network, facts = load_classifier(own / "model.pt")
    trained = AutoModel.from_pretrained(folder).state_dict()
    kept = network.trunk.encoder.state_dict()
    prefix = "encoder." if kind == "whisper" else ""
    shared = [name for name in kept if prefix + name in trained]
    assert len(shared) > 20
    assert all(torch.equal(kept[name], trained[prefix + name]) for name in shared)  # frozen
    assert network.layers.scores.abs().min() > 0  # learned
    assert facts["digest"] == recipe.digest

    for file in folder.iterdir():  # what the hub had is gone
        file.unlink()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    read_form.cache_clear()
    again, _ = load_classifier(own / "model.pt")
    with torch.inference_mode():
        torch.testing.assert_close(
            again(noise(), torch.tensor([3])), network(noise(), torch.tensor([3]))
        )
    assert main(["export", str(own), "-o", str(tmp_path / f"{kind}.onnx")]) == 0
    printed = capsys.readouterr().out
    assert float(printed.split(" bytes, ")[1].split()[0]) <= TOLERANCE
    clip = next(corpus.rglob("*.wav"))
    assert main(["predict", "--json", "--model", str(tmp_path / f"{kind}.onnx"), str(clip)]) == 0
    answer = json.loads(capsys.readouterr().out)
    expected = read_predictions(own / "predictions.csv")
    assert set(answer["probabilities"]) == set(LABELS)
    tested = expected[expected["file"].str.endswith(clip.name)]
    if len(tested):  # the clip is of the speaker tested in fold 1
        found = [answer["probabilities"][label] for label in LABELS]
        row = tested[[f"p_{label}" for label in LABELS]].to_numpy()[0]
        np.testing.assert_allclose(found, row, atol=2e-3)


def test_tuned_encoders_learn_and_answer_as_they_were_tested(
    encoders: dict[str, Path], corpus: Path, tmp_path: Path
) -> None:
    recipe = tiny_recipe(
        backbone=f"hf:{encoders['wavlm']}", weights="yamnet.tflite", learning_rate=1e-3
    )
    places = places_in(tmp_path, corpus)
    own = first_fold(recipe, places)
    network, _ = load_classifier(own / "model.pt")
    before = loaded(encoders["wavlm"]).state_dict()
    moved = [n for n, w in network.trunk.state_dict().items() if not torch.equal(w, before[n])]
    assert any("feature_extractor" in name for name in moved)
    assert any("layers.1" in name for name in moved)
    assert export(own / "model.pt", tmp_path / "tuned.onnx", name="tuned") <= TOLERANCE
    predictor = affekt.load(tmp_path / "tuned.onnx")
    for row in read_predictions(own / "predictions.csv").itertuples():
        found = predictor.predict(corpus / row.file).probabilities
        for label in LABELS:
            assert found[label] == pytest.approx(getattr(row, f"p_{label}"), abs=2e-3)


def test_activations_are_of_these_weights(
    encoders: dict[str, Path], corpus: Path, tmp_path: Path
) -> None:
    """A folder whose weights changed is another encoder, whatever its name."""
    folder = make_encoder("hubert", tmp_path / "encoder")
    recipe = tiny_recipe(backbone=f"hf:{folder}", weights="yamnet.tflite", frozen=True, epochs=1)
    answers = []
    for name in ("one", "other"):
        places = replace(places_in(tmp_path, corpus), runs=tmp_path / name)
        own = first_fold(recipe, places)
        answers.append(read_predictions(own / "predictions.csv"))
        torch.manual_seed(99)
        AutoModel.from_config(CONFIGS["hubert"]).save_pretrained(folder)
    columns = [f"p_{label}" for label in LABELS]
    assert not np.allclose(answers[0][columns], answers[1][columns], atol=1e-4)


# ------------------------------------------------------------------------------- refusals


def refused(name: str) -> str:
    read_form.cache_clear()
    with pytest.raises(ModelError) as error:
        load_backbone(Backbone(read_form(name)), name)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_no_transformers(monkeypatch: pytest.MonkeyPatch, encoders: dict[str, Path]) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert "pip install 'affekt[hf]'" in refused(f"hf:{encoders['wavlm']}")


def test_nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    (tmp_path / "empty").mkdir()
    for name in (tmp_path / "none", tmp_path / "empty", "nobody/nothing", "no name at all"):
        message = refused(f"hf:{name}")
        assert f"backbone hf:{name} must be a folder on disk or a model of the hub" in message
        assert "save_pretrained" in message


def test_a_folder_needs_safetensors(encoders: dict[str, Path], tmp_path: Path) -> None:
    """Weights as a pickle could run code."""
    folder = make_encoder("wavlm", tmp_path / "encoder")
    model = AutoModel.from_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert "safetensors" in refused(f"hf:{folder}")


def test_half_a_model_is_none(encoders: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for kind in ("hubert", "whisper"):
        folder = make_encoder(kind, tmp_path / kind)
        file = folder / "model.safetensors"
        weights = load_file(file)
        gone = next(n for n in sorted(weights) if "layers.1" in n and "decoder" not in n)
        del weights[gone]
        save_file(weights, file, {"format": "pt"})
        message = refused(f"hf:{folder}")
        assert "must hold all weights" in message
        assert "layers.1" in message
        weights = load_file(file)
        other = next(n for n in sorted(weights) if "layers.0" in n and "decoder" not in n)
        weights[other] = torch.zeros(3)
        save_file(weights, file, {"format": "pt"})
        refused(f"hf:{folder}")
        file.write_bytes(file.read_bytes()[:200])
        refused(f"hf:{folder}")


def test_code_of_a_folder_does_not_run(encoders: dict[str, Path], tmp_path: Path) -> None:
    folder = make_encoder("wavlm", tmp_path / "encoder")
    config = json.loads((folder / "config.json").read_text())
    trace = tmp_path / "executed"
    (folder / "evil.py").write_text(f"open({str(trace)!r}, 'w')\nclass Config: pass\n")
    config |= {"auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Config"}}
    (folder / "config.json").write_text(json.dumps(config))
    loaded(folder)  # its type is known, so its code is not asked for
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "evil"}))
    refused(f"hf:{folder}")
    assert not trace.exists()


def test_encoders_of_other_things_are_refused(tmp_path: Path) -> None:
    from transformers import BertConfig, Wav2Vec2FeatureExtractor

    for rate, config in ((16_000, BertConfig(num_hidden_layers=1)), (8_000, CONFIGS["wavlm"])):
        config.save_pretrained(tmp_path)
        Wav2Vec2FeatureExtractor(sampling_rate=rate).save_pretrained(tmp_path)
        message = refused(f"hf:{tmp_path}")
        assert "must be a speech encoder at 16000 Hz" in message
        assert config.model_type in message


@pytest.mark.parametrize(
    "knobs",
    [
        {"backbone": "wavlm"},
        {"backbone": "hf:x", "front_end": "power"},
        {"backbone": "hf:x", "level": "running"},
        {"backbone": "hf:x", "blocks": 5},
        {"backbone": "hf:x", "weights": "random"},
        {"backbone": "hf:x", "method": "mfcc-svm"},
    ],
)
def test_knobs_that_do_not_go_together(knobs: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match="of recipe odd must be"):
        Recipe("odd").with_(**knobs)


def test_an_architecture_is_of_one_kind(encoders: dict[str, Path]) -> None:
    form = read_form(f"hf:{encoders['wavlm']}")
    for front_end, backbone in (("waveform", ""), ("magnitude", form)):
        with pytest.raises(ModelError, match="front_end of Architecture"):
            Architecture(LABELS, front_end, backbone=backbone)


def test_export_refuses_bytes_and_what_onnx_cannot_hold(
    encoders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = read_form(f"hf:{encoders['wavlm']}")
    network = Classifier(Architecture(LABELS, "waveform", backbone=form))
    save_classifier(network, tmp_path / "model.pt", corpora=[], digest="0" * 12)
    with pytest.raises(ModelError, match=r"holds a backbone.*Got int8"):
        export(
            tmp_path / "model.pt",
            tmp_path / "x.onnx",
            name="x",
            precision="int8",
            recordings=tmp_path,
        )
    monkeypatch.setattr(exporting, "LARGEST", 1_000)
    with pytest.raises(ModelError, match=r"at most 1,000 bytes. Got float16"):
        export(tmp_path / "model.pt", tmp_path / "x.onnx", name="x")
    assert not (tmp_path / "x.onnx").exists()


def test_a_form_names_no_place(encoders: dict[str, Path]) -> None:
    for folder in encoders.values():
        form = read_form(f"hf:{folder}")
        assert str(folder) not in form
        assert json.loads(json.dumps(asdict(Architecture(LABELS, "waveform", backbone=form))))
