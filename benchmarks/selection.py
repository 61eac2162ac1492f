"""Compare which weights of a training to use, and variants of the training.

    python benchmarks/selection.py --data DATA [--variant NAME] [--seeds 0,1,2] [--folds 17-24]

DATA holds ravdess. Trains the network of ``ravdess-yamnet-lstm`` in some of its folds, and scores
the validation speakers of each fold, on which rules and variants are compared, by these rules:

* ``mean of the last ten``: the mean UAR of the weights of the last ten epochs.
* ``best epoch``: the epoch is chosen on one half of the validation speakers and scored on the
  other, both ways.
* ``best epoch, as reported``: chosen and scored on the same speakers.
* ``last epoch``, ``averaged``: the last weights, and the mean of those of the last ten epochs.
* the same two, ``recomputed``: the statistics of the batch norms recomputed over the training part.

The last four also score the test speaker, to report what the chosen rule is worth.

Variants: ``published``; ``matlab``, MATLAB's defaults: an L2 penalty of 1e-4, clips padded with
zeros to the longest of the mini-batch in training and tests, and the same mini-batches in all
epochs. Adds rows to ``results/selection.csv``. A killed run resumes; finished folds are not trained
again. Weights stay in ``runs/selection`` (170 MB a fold).
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from affekt.corpora.folds import Fold, read_folds
from affekt.corpora.manifest import Manifest
from affekt.experiments.fold import clips_of, part_of, source_of
from affekt.experiments.minibatches import Inputs, predict, shuffled
from affekt.experiments.network import load_inputs, start_network
from affekt.experiments.recipe import Recipe
from affekt.experiments.recipe_files import read_recipe
from affekt.experiments.runner import prepare
from affekt.experiments.training import (
    AVERAGED,
    Part,
    recompute_statistics,
    train,
    validation_uar,
)
from affekt.model.classifier import Classifier, save
from affekt.runs.folder import Locations, fold_name, manifest_of, usual_locations

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results/selection.csv"
KEYS = ["variant", "seed", "fold", "speakers", "rule"]


@dataclass(frozen=True)
class PaddedInputs(Inputs):
    """Inputs whose clips are padded with zero patches to the longest of their mini-batch."""

    def encode(
        self,
        classifier: Classifier,
        clips: NDArray[np.int64],
        speakers: NDArray[np.int64] | None = None,
        *,
        bfloat16: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As :meth:`Inputs.encode`; all lengths are those of the longest clip."""
        del speakers  # none are simulated
        parts = [self.patches[0].gather([clip]) for clip in clips]
        padded = nn.utils.rnn.pad_sequence(parts, batch_first=True)
        flat = padded.flatten(0, 1)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            steps = classifier.trunk(flat)
        longest = torch.full((len(clips),), padded.shape[1])
        return steps.float(), classifier.shares(flat), longest


def shuffled_once(
    clips: NDArray[np.int64], size: int, *, seed: Sequence[int]
) -> Iterator[NDArray[np.int64]]:
    """As :func:`shuffled`, in the order of the first epoch: the seed's last number is ignored."""
    return shuffled(clips, size, seed=(*seed[:-1], 1))


@dataclass(frozen=True)
class Variant:
    """What a variant changes."""

    knobs: Mapping[str, Any]
    inputs: type[Inputs] = Inputs
    shuffle: Callable[..., Iterator[NDArray[np.int64]]] = shuffled


VARIANTS = {
    "published": Variant({}),
    "matlab": Variant({"weight_decay": 1e-4}, inputs=PaddedInputs, shuffle=shuffled_once),
}


@dataclass(frozen=True)
class Fitted:
    """A network of one fold, what it is trained and validated on, and where its epochs are kept."""

    classifier: Classifier
    inputs: Inputs
    training: Part
    validation: Part
    test: Part
    manifest: Manifest
    folder: Path
    epochs: int
    batch: int


def fit(variant: Variant, recipe: Recipe, fold: Fold, own: Path, places: Locations) -> Fitted:
    """Train a fold, or resume it; keep validation logits of all epochs and the last weights."""
    manifest = manifest_of(places.runs / recipe.run, places)
    source = source_of(recipe, manifest, places)
    training, validation, test = (
        part_of(manifest, clips_of(manifest, part))
        for part in (fold.train, fold.validation, fold.test)
    )
    classifier = start_network(recipe, fold.number, source, training.clips, places)
    inputs = variant.inputs(patches=load_inputs(recipe, source, classifier).patches)
    numbers = (recipe.epochs, recipe.batch)
    fitted = Fitted(classifier, inputs, training, validation, test, manifest, own, *numbers)
    own.mkdir(parents=True, exist_ok=True)

    logits: list[Tensor] = []  # of the validation clips, in the epoch that ends

    def validated(*given: Any) -> Tensor:
        logits[:] = [predict(*given)]
        return logits[0]

    def keep(epoch: int) -> None:
        np.save(own / f"validation-{epoch}.npy", logits[0].numpy())
        if epoch > recipe.epochs - AVERAGED:
            save(classifier.state_dict(), weights_of(fitted, epoch))

    def save_all(content: dict[str, Any], path: Path) -> None:
        if path.name == "last.pt":
            keep(len(content["curve"]))
        save(content, path)

    if not weights_of(fitted, recipe.epochs).is_file() or (own / "last.pt").is_file():
        seed = (recipe.seed, fold.number)
        module = "affekt.experiments.training"
        with (
            patch(f"{module}.shuffled", variant.shuffle),
            patch(f"{module}.predict", validated),
            patch(f"{module}.save", save_all),
        ):
            train(classifier, inputs, training, validation, own, recipe=recipe, seed=seed)
        (own / "last.pt").unlink()
    return fitted


def weights_of(fitted: Fitted, epoch: int) -> Path:
    """File of the weights after an epoch."""
    return fitted.folder / f"{epoch}.pt"


def scores(fitted: Fitted) -> list[dict[str, str]]:
    """Rows of the UAR of validation and test speakers by each rule."""
    return [
        {"speakers": speakers, "rule": rule, "uar": f"{uar:.4f}"}
        for speakers, found in (("validation", by_epoch(fitted)), *by_weights(fitted).items())
        for rule, uar in found.items()
    ]


def by_epoch(fitted: Fitted) -> dict[str, float]:
    """UAR of the validation speakers by the rules that need no weights."""
    truth, epochs = fitted.validation.truth, range(1, fitted.epochs + 1)
    files = [fitted.folder / f"validation-{epoch}.npy" for epoch in epochs]
    logits = [torch.from_numpy(np.load(file)) for file in files]
    every = [validation_uar(each, truth) for each in logits]
    speakers = np.array([fitted.manifest.clips[row].speaker for row in fitted.validation.clips])
    return {
        "mean of the last ten": float(np.mean(every[-AVERAGED:])),
        "best epoch": crossed(logits, truth, speakers),
        "best epoch, as reported": max(every),
    }


def by_weights(fitted: Fitted) -> dict[str, dict[str, float]]:
    """UAR of the validation and the test speakers by the rules that make weights."""
    mean = AveragedModel(fitted.classifier)
    for epoch in range(fitted.epochs - AVERAGED + 1, fitted.epochs + 1):
        fitted.classifier.load_state_dict(torch.load(weights_of(fitted, epoch), weights_only=True))
        mean.update_parameters(fitted.classifier)
    averaged: Classifier = mean.module
    found: dict[str, dict[str, float]] = {"validation": {}, "test": {}}
    for name, network in (("last epoch", fitted.classifier), ("averaged", averaged)):
        for rule in (name, f"{name}, recomputed"):
            if rule != name:
                recompute_statistics(network, fitted.inputs, fitted.training, fitted.batch)
            for speakers, part in (("validation", fitted.validation), ("test", fitted.test)):
                logits = predict(network, fitted.inputs, part.clips)
                found[speakers][rule] = validation_uar(logits, part.truth)
    return found


def crossed(
    logits: Sequence[Tensor], truth: NDArray[np.int64], speakers: NDArray[np.str_]
) -> float:
    """UAR where each half of the speakers is predicted by the epoch that is best on the other."""
    names = np.unique(speakers)
    first = np.isin(speakers, names[::2])
    joined = torch.zeros_like(logits[0])
    for half in (first, ~first):
        by_epoch = [validation_uar(each[half], truth[half]) for each in logits]
        joined[~half] = logits[int(np.argmax(by_epoch))][~half]
    return validation_uar(joined, truth)


def numbers(text: str) -> tuple[int, ...]:
    """``1,3-5`` as whole numbers."""
    ends = [part.partition("-") for part in text.split(",")]
    return tuple(n for low, _, high in ends for n in range(int(low), int(high or low) + 1))


def main() -> None:
    """Train, score, print and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--variant", choices=VARIANTS, default="published")
    parser.add_argument("--seeds", type=numbers, default=(0, 1, 2))
    parser.add_argument("--folds", type=numbers, default=tuple(range(17, 25)))
    given = parser.parse_args()
    torch.set_num_threads(1)
    variant = VARIANTS[given.variant]
    for seed in given.seeds:
        recipe = read_recipe("ravdess-yamnet-lstm").with_(seed=seed, **variant.knobs)
        runs = ROOT / "runs/selection" / given.variant
        places = usual_locations("ravdess", data=given.data / "ravdess", runs=runs, weights=None)
        folder = prepare(recipe, places)
        planned = {fold.number: fold for fold in read_folds(folder / "folds.csv")}
        for number in track(given.folds, f"seed {seed}"):
            own = folder / fold_name(number)
            keys = {"variant": given.variant, "seed": str(seed), "fold": str(number)}
            fitted = fit(variant, recipe, planned[number], own, places)
            write([keys | row for row in scores(fitted)])
    table = pd.read_csv(RESULTS).groupby(["variant", "speakers", "rule"], sort=False)["uar"]
    print(table.agg(["mean", "count"]).round(3).to_string())


def write(rows: Sequence[Mapping[str, str]]) -> None:
    """Add rows to the results, in place of earlier ones of the same fold."""
    before = [pd.read_csv(RESULTS, dtype=str)] if RESULTS.is_file() else []
    every = pd.concat([*before, pd.DataFrame(rows)]).drop_duplicates(KEYS, keep="last")
    every.to_csv(RESULTS, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
