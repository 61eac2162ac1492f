"""Test training: resumed exactly, seeded, independent of test speakers, and it learns."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from affekt.corpora import Manifest, load
from affekt.corpora.perceived import PerceivedLabels
from affekt.errors import RunError
from affekt.experiments import training
from affekt.experiments.feature_cache import Patches, Source
from affekt.experiments.fold import clips_of, part_of, source_of
from affekt.experiments.minibatches import Inputs, predict
from affekt.experiments.network import start_network
from affekt.experiments.recipe import Recipe
from affekt.experiments.runner import make_folds
from affekt.experiments.training import CURVE, chosen_epoch, train, validation_uar
from affekt.model.classifier import Classifier
from affekt.runs.folder import Locations
from synthetic_corpus import make_corpus, tiny_recipe

NOWHERE = Locations(Path("none"), Path("none"), Path("none"))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root = make_corpus(tmp_path_factory.mktemp("corpus") / "ravdess", speakers=4)
    return load("ravdess", root, partial=True)


@pytest.fixture(scope="module")
def patches(manifest: Manifest) -> Patches:
    cache = manifest.root.parent / "cache"
    return source_of(tiny_recipe(), manifest, Locations(cache, cache, cache)).patches()


def trained(
    recipe: Recipe, manifest: Manifest, patches: Patches, folder: Path | None
) -> tuple[Classifier, int | None]:
    torch.set_num_threads(1)
    if folder:
        folder.mkdir(exist_ok=True)
    fold = make_folds(recipe, manifest)[0]
    training = part_of(manifest, clips_of(manifest, fold.train), balance=recipe.balance)
    validation = part_of(manifest, clips_of(manifest, fold.validation))
    source = source_of(recipe, manifest, NOWHERE)
    classifier = start_network(recipe, fold.number, source, training.clips, NOWHERE)
    seed = (recipe.seed, fold.number)
    inputs = Inputs((patches,))
    parts = (training, validation, folder)
    return classifier, train(classifier, inputs, *parts, recipe=recipe, seed=seed)


def weights_of(classifier: Classifier) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in classifier.state_dict().items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def curve_in(folder: Path) -> np.ndarray:
    rows = np.loadtxt(folder / "curve.csv", delimiter=",", skiprows=1, ndmin=2)
    return rows[:, : CURVE.index("seconds")]


def test_equal_seeds_give_equal_weights(
    manifest: Manifest, patches: Patches, tmp_path: Path
) -> None:
    recipe = tiny_recipe()
    one, epoch = trained(recipe, manifest, patches, tmp_path / "one")
    other, _ = trained(recipe, manifest, patches, tmp_path / "other")
    assert equal(weights_of(one), weights_of(other))
    np.testing.assert_array_equal(curve_in(tmp_path / "one"), curve_in(tmp_path / "other"))
    kept = torch.load(tmp_path / "one" / "last.pt", weights_only=True)["best"]
    assert equal(weights_of(one), kept)
    assert epoch == chosen_epoch(curve_in(tmp_path / "one").tolist(), "best")
    seeded, _ = trained(recipe.with_(seed=1), manifest, patches, tmp_path / "seeded")
    assert not equal(weights_of(one), weights_of(seeded))


@pytest.mark.parametrize("checkpoint", ["best", "last", "averaged"])
def test_without_a_folder_nothing_is_written(
    manifest: Manifest,
    patches: Patches,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    checkpoint: str,
) -> None:
    recipe = tiny_recipe(checkpoint=checkpoint)
    expected, epoch = trained(recipe, manifest, patches, tmp_path / "run")
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    monkeypatch.delattr(training, "save")
    found, same_epoch = trained(recipe, manifest, patches, None)
    assert equal(weights_of(found), weights_of(expected))
    assert same_epoch == epoch
    assert not [*empty.iterdir()]


def test_finished_epochs_are_not_repeated(
    manifest: Manifest, patches: Patches, tmp_path: Path
) -> None:
    whole, _ = trained(tiny_recipe(epochs=3), manifest, patches, tmp_path / "whole")
    trained(tiny_recipe(epochs=1), manifest, patches, tmp_path / "parts")
    resumed, _ = trained(tiny_recipe(epochs=3), manifest, patches, tmp_path / "parts")
    assert equal(weights_of(whole), weights_of(resumed))
    (tmp_path / "parts" / "curve.csv").unlink()  # as a kill leaves it, right before it is written
    again, _ = trained(tiny_recipe(epochs=3), manifest, patches, tmp_path / "parts")
    assert equal(weights_of(whole), weights_of(again))
    np.testing.assert_array_equal(curve_in(tmp_path / "whole"), curve_in(tmp_path / "parts"))


def test_it_learns_and_the_last_epoch_can_be_kept(
    manifest: Manifest, patches: Patches, tmp_path: Path
) -> None:
    recipe = tiny_recipe(epochs=6, checkpoint="last", learning_rate=1e-3, batch=8)
    classifier, epoch = trained(recipe, manifest, patches, tmp_path)
    losses = curve_in(tmp_path)[:, CURVE.index("train_loss")]
    assert losses[-1] < 0.6 * losses[0]
    assert losses[0] < 2 * math.log(4)
    assert epoch == 6
    last = torch.load(tmp_path / "last.pt", weights_only=True)["classifier"]
    assert equal(weights_of(classifier), last)


def test_averaged_weights_have_the_statistics_of_their_own_activations(
    manifest: Manifest, patches: Patches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs: list[dict[str, torch.Tensor]] = []
    save = training.save

    def noted(content: dict[str, dict[str, torch.Tensor]], path: Path) -> None:
        if path.name == "last.pt":
            epochs.append({name: each.clone() for name, each in content["classifier"].items()})
        save(content, path)

    monkeypatch.setattr(training, "save", noted)
    monkeypatch.setattr(training, "AVERAGED", 2)
    recipe = tiny_recipe(epochs=3, checkpoint="averaged", batch=8)
    classifier, epoch = trained(recipe, manifest, patches, tmp_path)
    assert epoch is None
    for name, weights in classifier.named_parameters():
        torch.testing.assert_close(weights, (epochs[1][name] + epochs[2][name]) / 2)
    first = classifier.trunk.rows[0]  # its inputs are the patches, whatever the weights are
    clips = clips_of(manifest, make_folds(recipe, manifest)[0].train)
    seen: list[torch.Tensor] = []
    first.norm.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    predict(classifier, Inputs((patches,)), clips)
    mean = torch.cat(seen).mean(dim=(0, 2, 3))
    torch.testing.assert_close(first.norm.running_mean, mean, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("checkpoint", ["last", "averaged"])
def test_only_training_clips_change_the_weights(
    manifest: Manifest, patches: Patches, tmp_path: Path, checkpoint: str
) -> None:
    """What others say is not a number: a single look would spread through all weights."""
    recipe = tiny_recipe(checkpoint=checkpoint)
    fold = make_folds(recipe, manifest)[0]
    clean, _ = trained(recipe, manifest, patches, tmp_path / "clean")
    for poisoned in (fold.test, fold.validation):
        values = np.array(patches.values)
        for clip in clips_of(manifest, poisoned):
            values[patches.starts[clip] : patches.starts[clip + 1]] = np.nan
        folder = tmp_path / poisoned[0].replace(":", "-")
        other, _ = trained(recipe, manifest, replace(patches, values=values), folder)
        assert equal(weights_of(clean), weights_of(other))
        if poisoned == fold.test:
            np.testing.assert_array_equal(curve_in(tmp_path / "clean"), curve_in(folder))
        else:
            assert np.isnan(curve_in(folder)[:, CURVE.index("validation_loss")]).all()


def test_a_frozen_trunk_does_not_change(
    manifest: Manifest, patches: Patches, tmp_path: Path
) -> None:
    recipe = tiny_recipe(frozen=True, checkpoint="last")
    fold = make_folds(recipe, manifest)[0]
    clips = clips_of(manifest, fold.train)
    source = source_of(recipe, manifest, NOWHERE)
    start = start_network(recipe, fold.number, source, clips, NOWHERE)
    end, _ = trained(recipe, manifest, patches, tmp_path)
    assert equal(weights_of(start.trunk), weights_of(end.trunk))  # type: ignore[arg-type]
    assert not torch.equal(start.head.classes.weight, end.head.classes.weight)


@pytest.mark.parametrize(
    "knobs",
    [
        {"head": "mean"},
        {"head": "statistics", "time_constant": 20.0},
        {"precision": "bfloat16"},
        {"blocks": 3, "loudness": "running"},
        {"checkpoint": "averaged"},
        {"optimizer": "adamw", "weight_decay": 0.01, "schedule": "one-cycle"},
    ],
    ids=str,
)
def test_variants_train(
    manifest: Manifest, patches: Patches, tmp_path: Path, knobs: dict[str, object]
) -> None:
    classifier, _ = trained(tiny_recipe(epochs=1, **knobs), manifest, patches, tmp_path)
    logits = predict(classifier, Inputs((patches,)), np.arange(3))
    assert logits.shape == (3, 4)
    assert logits.isfinite().all()
    assert all(tensor.dtype != torch.bfloat16 for tensor in classifier.state_dict().values())


def test_the_loss_by_hand(manifest: Manifest, patches: Patches) -> None:
    """Weights of the clips, perceived labels and smoothing count for each head of an ensemble."""
    recipe = tiny_recipe(
        head="statistics", time_constant=20.0, ensemble_size=2, label_smoothing=0.2
    )
    part = part_of(manifest, clips_of(manifest, manifest.speakers[:3]))
    rng = np.random.default_rng(0)
    shares, priors = rng.dirichlet(np.ones(4), (2, len(part.clips))).astype(np.float32)
    weights = rng.uniform(0.5, 2, len(part.clips)).astype(np.float32)
    part = replace(part, weights=weights, perceived=PerceivedLabels(shares, np.log(priors)))
    source = source_of(recipe, manifest, NOWHERE)
    network = start_network(recipe, 1, source, part.clips, NOWHERE).train()
    network.head.dropout.p = 0.0
    rows, inputs = np.array([7, 2, 5]), Inputs((patches,))
    with torch.no_grad():
        found = training._loss(network, inputs, part, part.clips[rows], recipe, rng)
        logits = network.read(*inputs.encode(network, part.clips[rows]))
    assert logits.shape == (3, 2, 4)
    total = 0.0
    for row, heads in zip(rows, logits.double().numpy(), strict=True):
        target = 0.8 * shares[row] + 0.2 / 4
        for each in heads + np.log(priors[row]):
            total -= weights[row] * target @ (each - np.log(np.exp(each).sum())) / 2
    assert found.item() == pytest.approx(total / weights[rows].sum(), rel=1e-5)


def test_batch_norms_start_from_training_clips_alone(
    manifest: Manifest, patches: Patches, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(weights="yamnet.tflite")
    clips = clips_of(manifest, make_folds(recipe, manifest)[0].train)
    values = np.array(patches.values)
    values[~np.isin(np.arange(len(manifest.clips)), clips).repeat(np.diff(patches.starts))] = np.nan
    monkeypatch.setattr(Source, "patches", lambda _: replace(patches, values=values))
    source = source_of(recipe, manifest, NOWHERE)
    network = start_network(recipe, 1, source, clips, replace(NOWHERE, weights=weights))
    assert network.trunk.rows[0].norm.running_mean.any()
    for name, tensor in network.state_dict().items():
        assert tensor.isfinite().all(), name


def test_a_diverged_loss_is_an_error(
    manifest: Manifest, patches: Patches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        training.nn.functional,
        "cross_entropy",
        lambda logits, *_, **__: math.nan * logits.sum(dim=1),
    )
    with pytest.raises(RunError, match=r"loss must stay finite\. Got nan in epoch 1"):
        trained(tiny_recipe(), manifest, patches, tmp_path)
    assert not (tmp_path / "last.pt").exists()


@pytest.mark.parametrize("damage", ["cut short", "of another network", "without a curve"])
def test_a_damaged_checkpoint_is_refused(
    manifest: Manifest, patches: Patches, tmp_path: Path, damage: str
) -> None:
    recipe = tiny_recipe(epochs=2)
    trained(recipe.with_(epochs=1), manifest, patches, tmp_path)
    last = tmp_path / "last.pt"
    state = torch.load(last, weights_only=True)
    if damage == "cut short":
        last.write_bytes(last.read_bytes()[:999])
    elif damage == "of another network":
        torch.save({**state, "classifier": {}}, last)
    else:
        torch.save({name: part for name, part in state.items() if name != "curve"}, last)
    with pytest.raises(RunError, match=r"last\.pt must be an epoch .* Remove it"):
        trained(recipe, manifest, patches, tmp_path)
    last.unlink()
    trained(recipe, manifest, patches, tmp_path)


def test_chosen_epoch() -> None:
    rows = [[1, 0, 0.9, 0.5, 0], [2, 0, 0.8, 0.7, 0], [3, 0, 0.7, 0.7, 0], [4, 0, 0.7, 0.7, 0]]
    assert chosen_epoch(rows, "best") == 3  # UAR, then loss, then the earlier
    assert chosen_epoch(rows[:2], "best") == 2
    assert chosen_epoch(rows, "last") == 4


def test_the_weights_of_the_best_epoch_are_kept(
    manifest: Manifest, patches: Patches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores, best = iter([0.5, 0.8, 0.7]), iter([0, 1, 1])
    epochs = []
    save = training.save

    def noted(content: dict[str, dict[str, torch.Tensor]], path: Path) -> None:
        epochs.append({name: each.clone() for name, each in content["classifier"].items()})
        assert equal(content["best"], epochs[next(best)])
        save(content, path)

    monkeypatch.setattr(training, "validation_uar", lambda *_: next(scores))
    monkeypatch.setattr(training, "save", noted)
    classifier, epoch = trained(tiny_recipe(epochs=3), manifest, patches, tmp_path)
    assert epoch == 2
    assert equal(weights_of(classifier), epochs[1])


def test_validation_uar_is_over_the_present_labels() -> None:
    logits = torch.eye(4)[[0, 0, 2, 3]]
    assert validation_uar(logits, np.array([0, 1, 2, 2])) == pytest.approx((1 + 0 + 0.5) / 3)
