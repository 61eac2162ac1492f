"""Train the network of one fold.

After every epoch the fold's folder holds ``last.pt``, from which a killed run resumes exactly.
"""

import ctypes
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn

from affekt.atomic_write import atomic_text
from affekt.corpora.perceived import PerceivedLabels
from affekt.corpora.tables import csv_text
from affekt.errors import RunError
from affekt.experiments.minibatches import Inputs, predict, shuffled
from affekt.experiments.profiles import draw_profiles
from affekt.experiments.recipe import Recipe
from affekt.model.classifier import Classifier, save
from affekt.runs.folder import CURVE, LAST

AVERAGED = 10  # last epochs whose weights are averaged


@dataclass(frozen=True)
class Part:
    """The clips of one part of a fold."""

    clips: NDArray[np.int64]  #: ``(clips,)`` rows of the manifest
    truth: NDArray[np.int64]  #: ``(clips,)`` index of each clip's label
    weights: NDArray[np.float32]  #: ``(clips,)`` weight of each in the loss
    #: for each clip, the other clips of its speaker in this part
    others: Mapping[int, NDArray[np.int64]]
    #: training labels that hold perceived emotions; None: as acted
    perceived: PerceivedLabels | None = None


def train(
    classifier: Classifier,
    inputs: Inputs,
    training: Part,
    validation: Part,
    folder: Path | None,
    *,
    recipe: Recipe,
    seed: tuple[int, int],
) -> int | None:
    """Train a network, or resume a killed training; it holds the chosen weights afterwards.

    Args:
        training: clips to learn from.
        validation: clips of other speakers, for the learning curve and the best epoch.
        folder: of the fold; takes ``last.pt`` and ``curve.csv``. None: nothing is written.
        seed: of recipe and fold.

    Returns:
        The epoch of the chosen weights, counted from 1; None for averaged weights.

    Raises:
        RunError: the loss diverged, or ``last.pt`` is damaged.
    """
    keep_freed_memory()
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.frozen:
        classifier.trunk.requires_grad_(False)
    learned = [p for p in classifier.parameters() if p.requires_grad]
    optimizer, schedule = _descent(learned, recipe, len(training.clips))
    parts: dict[str, Any] = {"classifier": classifier, "optimizer": optimizer, "schedule": schedule}
    mean = AveragedModel(classifier) if recipe.checkpoint == "averaged" else None
    if mean:
        parts["mean"] = mean
    curve, best = _done_before(folder / LAST, parts) if folder else ([], {})
    if folder:
        write_curve(curve, folder / "curve.csv")  # the kill may have come before it

    for epoch in range(len(curve) + 1, recipe.epochs + 1):
        started = time.monotonic()
        seed_torch(*seed, epoch)  # by epoch, so that a resumed run draws the same
        classifier.train()
        if recipe.frozen:
            classifier.trunk.eval()
        losses = []
        generator = np.random.default_rng((*seed, epoch, 1))  # of speakers and profiles
        for clips in shuffled(training.clips, recipe.batch, seed=(*seed, epoch)):
            loss = _loss(classifier, inputs, training, clips, recipe, generator)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            losses.append(loss.item() * len(clips))
        if not np.isfinite(losses).all():
            raise RunError(
                f"the training loss must stay finite. Got {losses[-1]} in epoch {epoch}. "
                f"Use a learning_rate below {recipe.learning_rate:g}."
            )
        if mean and epoch > recipe.epochs - AVERAGED:
            mean.update_parameters(classifier)
        validation_loss, uar = _validate(classifier, inputs, validation)
        seconds = time.monotonic() - started
        curve.append([epoch, sum(losses) / len(training.clips), validation_loss, uar, seconds])
        if recipe.checkpoint == "best" and chosen_epoch(curve, recipe.checkpoint) == epoch:
            best = {name: weights.clone() for name, weights in classifier.state_dict().items()}
        if folder:
            states = {name: part.state_dict() for name, part in parts.items()}
            save(states | {"best": best, "curve": curve}, folder / LAST)
            write_curve(curve, folder / "curve.csv")

    if mean:
        classifier.load_state_dict(mean.module.state_dict())
        if not recipe.frozen:
            recompute_statistics(classifier, inputs, training, recipe.batch)
        return None
    if best:
        classifier.load_state_dict(best)
    return chosen_epoch(curve, recipe.checkpoint)


def recompute_statistics(
    classifier: Classifier, inputs: Inputs, training: Part, batch: int
) -> None:
    """Recompute the statistics of the trunk's batch norms over the training clips.

    Those of averaged weights are not the average of the statistics (Izmailov et al. 2018, 3.2).
    """
    mini_batches = shuffled(training.clips, batch, seed=(0,))
    patches = (inputs.patches[0].gather(clips) for clips in mini_batches)
    update_bn(patches, classifier.trunk, device=classifier.device)


def _done_before(
    last: Path, parts: Mapping[str, Any]
) -> tuple[list[list[float]], dict[str, Tensor]]:
    """Load the state of a killed run into ``parts``.

    Returns:
        The curve of its finished epochs, and the weights of the best one.
    """
    if not last.is_file():
        return [], {}
    try:
        state = torch.load(last, map_location="cpu", weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        curve, best = state["curve"], state["best"]
    except OSError:
        raise
    except Exception as error:  # torch.load raises what its file makes it raise
        raise RunError(
            f"{last} must be an epoch written by this version of affekt. Got another, or a "
            f"damaged one ({type(error).__name__}). Remove it to train the fold again."
        ) from error
    return curve, best


def _loss(
    classifier: Classifier,
    inputs: Inputs,
    training: Part,
    clips: NDArray[np.int64],
    recipe: Recipe,
    generator: np.random.Generator,
) -> Tensor:
    """Loss of one mini-batch; the generator draws a simulated speaker and a profile for each."""
    rows = np.searchsorted(training.clips, clips)
    speakers = generator.integers(recipe.augmented_speakers + 1, size=len(clips))
    encoded = inputs.encode(classifier, clips, speakers, bfloat16=recipe.precision == "bfloat16")
    profiles = None
    if recipe.speaker_normalization:
        profiles = draw_profiles(inputs.features, clips, speakers, training.others, generator)
    logits = classifier.read(*encoded, profiles)  # (clips, heads, labels)
    heads = logits.shape[1]

    def for_each_head(of_clips: NDArray[Any]) -> Tensor:
        rows_of = torch.from_numpy(of_clips[rows]).to(classifier.device)
        return rows_of.repeat_interleave(heads, dim=0)

    targets: NDArray[Any] = training.truth
    logits = logits.flatten(0, 1)
    if training.perceived:
        targets = training.perceived.shares
        logits = logits + for_each_head(training.perceived.log_priors)
    losses = nn.functional.cross_entropy(
        logits, for_each_head(targets), label_smoothing=recipe.label_smoothing, reduction="none"
    )
    weights = for_each_head(training.weights)
    return (losses * weights).sum() / weights.sum()


def _validate(classifier: Classifier, inputs: Inputs, validation: Part) -> tuple[float, float]:
    """Loss a clip and UAR of the validation speakers; not numbers where there are none."""
    if not len(validation.clips):
        return np.nan, np.nan
    logits = predict(classifier, inputs, validation.clips)
    loss = nn.functional.cross_entropy(logits, torch.from_numpy(validation.truth)).item()
    return loss, validation_uar(logits, validation.truth)


def _descent(
    learned: Sequence[nn.Parameter], recipe: Recipe, clips: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Make the optimizer and the schedule of its learning rate."""
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    optimizer = kind(learned, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    steps = recipe.epochs * -(-clips // recipe.batch)
    if recipe.schedule == "one-cycle":
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.learning_rate, total_steps=steps + 1
        )
    return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


def seed_torch(*numbers: int) -> None:
    """Seed torch's generator by several whole numbers."""
    torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))


def validation_uar(logits: Tensor, truth: NDArray[np.int64]) -> float:
    """UAR over the labels that the validation speakers have."""
    predicted = logits.argmax(dim=1).numpy()
    present = np.unique(truth)
    return float(np.mean([np.mean(predicted[truth == label] == label) for label in present]))


def chosen_epoch(curve: Sequence[Sequence[float]], checkpoint: str) -> int:
    """The epoch whose weights are used: the last, or that of the best validation UAR.

    Ties are broken by the lower loss.

    >>> chosen_epoch([[1, 0, 0.9, 0.5, 0], [2, 0, 0.7, 0.6, 0], [3, 0, 0.8, 0.6, 0]], "best")
    2
    """
    if checkpoint != "best":
        return int(curve[-1][0])
    return int(min(curve, key=lambda row: (-row[3], row[2]))[0])


def write_curve(curve: Sequence[Sequence[float]], path: Path) -> None:
    """Write ``curve.csv``: one row per epoch."""
    rows = ([int(row[0]), *(f"{value:.6f}" for value in row[1:])] for row in curve)
    atomic_text(path, csv_text([CURVE, *rows]))


def keep_freed_memory() -> None:
    """Have glibc keep freed memory instead of giving it back to the kernel after every layer.

    Activations are tens of megabytes; by default each is mapped anew and its pages zeroed by the
    kernel, which costs a third of a training step. Elsewhere than on Linux nothing happens.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    trim_threshold, mmap_max = -1, -4
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(mmap_max, 0)
