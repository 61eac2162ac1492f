"""One fold of the network, trained: a loop that reads from top to bottom.

After every epoch two files stand in the fold's folder: ``last.pt``, from which a killed run goes
on bit for bit, and ``best.pt``, which moves only when validation improves.
"""

import csv
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

from affekt.atomic_write import atomic_write
from affekt.errors import RunError
from affekt.evaluation.runs import CURVE
from affekt.experiments.batches import shuffled
from affekt.experiments.material import Material
from affekt.experiments.profiles import draw_profiles
from affekt.experiments.recipe import Recipe
from affekt.experiments.teacher import student_loss
from affekt.model.classifier import Classifier, save
from affekt.model.loudness import State

EVALUATION_BATCH = 48  # clips; changes speed and memory, not results


@dataclass(frozen=True)
class Part:
    """The clips of one part of a fold.

    Attributes:
        clips: ``(clips,)`` rows of the manifest.
        truth: ``(clips,)`` index of each clip's label.
        weights: ``(clips,)`` what each weighs in the loss.
        others: of each clip, the other clips of its speaker in this part.
        answers: ``(clips, labels)`` a teacher's probabilities; None where nobody teaches.
    """

    clips: NDArray[np.int64]
    truth: NDArray[np.int64]
    weights: NDArray[np.float32]
    others: Mapping[int, NDArray[np.int64]]
    answers: NDArray[np.float32] | None = None


def train(
    classifier: Classifier,
    material: Material,
    training: Part,
    validation: Part,
    folder: Path,
    *,
    recipe: Recipe,
    fold: int,
) -> int:
    """Train a network, or go on where a killed run stood.

    Args:
        classifier: the network at its start; holds the kept epoch's weights afterwards.
        material: all clips of the manifest.
        training: clips to learn from.
        validation: clips of other speakers, to choose the epoch by.
        folder: the fold's; takes ``last.pt``, ``best.pt`` and ``curve.csv``.
        recipe: the knobs.
        fold: number of the fold; part of the batches' seed.

    Returns:
        The epoch kept, counted from 1.
    """
    keep_freed_memory()
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.frozen:
        classifier.trunk.requires_grad_(False)
    learned = [p for p in classifier.parameters() if p.requires_grad]
    optimizer, schedule = _descent(learned, recipe, len(training.clips))
    parts: dict[str, Any] = {"classifier": classifier, "optimizer": optimizer, "schedule": schedule}
    last, best = folder / "last.pt", folder / "best.pt"
    curve = _done_before(last, parts)
    write_curve(curve, folder / "curve.csv")  # the kill may have come before it

    for epoch in range(len(curve) + 1, recipe.epochs + 1):
        started = time.monotonic()
        seed_torch(recipe.seed, fold, epoch)  # by epoch, so that a resumed run draws the same
        classifier.train()
        if recipe.frozen:
            classifier.trunk.eval()
        losses = []
        drawing = np.random.default_rng((recipe.seed, fold, epoch, 1))  # of voices and profiles
        for clips in shuffled(training.clips, recipe.batch, seed=(recipe.seed, fold, epoch)):
            loss = _loss(classifier, material, training, clips, recipe, drawing)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            losses.append(loss.item() * len(clips))
        _refuse_divergence(losses, epoch, recipe)

        validation_loss, uar = _validate(classifier, material, validation)
        seconds = time.monotonic() - started
        curve.append([epoch, sum(losses) / len(training.clips), validation_loss, uar, seconds])
        if kept_epoch(curve, recipe.keep) == epoch:
            save({"classifier": classifier.state_dict()}, best)
        save({name: part.state_dict() for name, part in parts.items()} | {"curve": curve}, last)
        write_curve(curve, folder / "curve.csv")

    classifier.load_state_dict(
        torch.load(best, map_location="cpu", weights_only=True)["classifier"]
    )
    return kept_epoch(curve, recipe.keep)


def _done_before(last: Path, parts: Mapping[str, Any]) -> list[list[float]]:
    """The curve of the epochs that a killed run had done; its state is put into ``parts``."""
    if not last.is_file():
        return []
    try:
        state = torch.load(last, map_location="cpu", weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        curve: list[list[float]] = state["curve"]
    except OSError:
        raise
    except Exception as error:  # torch.load raises what its file makes it raise
        raise RunError(
            f"{last} must be an epoch that this version of affekt wrote. Got another, or a damaged "
            f"one ({type(error).__name__}). Remove it: the fold starts anew."
        ) from error
    return curve


def _loss(
    classifier: Classifier,
    material: Material,
    training: Part,
    clips: NDArray[np.int64],
    recipe: Recipe,
    drawing: np.random.Generator,
) -> Tensor:
    """Loss of one batch, each clip in a voice and with a profile that ``drawing`` decides."""
    rows = np.searchsorted(training.clips, clips)
    spoken = drawing.integers(recipe.voices + 1, size=len(clips))
    halved = recipe.precision == "bfloat16"
    steps, shares, lengths = material.embed(classifier, clips, spoken, halved=halved)
    profiles = None
    if recipe.profile:
        profiles = draw_profiles(material.activations, clips, spoken, training.others, drawing)
    logits = classifier.read(steps, shares, lengths, profiles)  # (clips, [members,] labels)
    members = 1 if logits.dim() == 2 else logits.shape[1]

    def to_each(of_clips: NDArray[Any]) -> Tensor:
        """What a member is to answer, or weighs: the same for all members of a clip."""
        rows_of = torch.from_numpy(of_clips[rows]).to(classifier.device)
        return rows_of.repeat_interleave(members, dim=0)

    logits = logits.reshape(len(clips) * members, -1)
    each = nn.functional.cross_entropy(
        logits,
        to_each(training.truth),
        label_smoothing=recipe.label_smoothing,
        reduction="none",
    )
    if training.answers is not None:
        each = student_loss(
            logits,
            each,
            to_each(training.answers),
            share=recipe.teacher_share,
            temperature=recipe.temperature,
        )
    weights = to_each(training.weights)
    return (each * weights).sum() / weights.sum()


def _validate(classifier: Classifier, material: Material, validation: Part) -> tuple[float, float]:
    """Loss a clip and UAR of the validation speakers; not numbers where there are none."""
    if not len(validation.clips):
        return np.nan, np.nan
    logits = predict(classifier, material, validation.clips)
    loss = nn.functional.cross_entropy(logits, torch.from_numpy(validation.truth)).item()
    return loss, validation_uar(logits, validation.truth)


def _descent(
    learned: Sequence[nn.Parameter], recipe: Recipe, clips: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """What makes a step of a gradient, and how large its step is."""
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    optimizer = kind(learned, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    steps = recipe.epochs * -(-clips // recipe.batch)
    if recipe.schedule == "one-cycle":
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.learning_rate, total_steps=steps + 1
        )
    return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


@torch.inference_mode()
def predict(
    classifier: Classifier,
    material: Material,
    clips: NDArray[np.int64],
    *,
    profiles: State | None = None,
    batch: int = EVALUATION_BATCH,
) -> Tensor:
    """Logits ``(clips, labels)`` of some clips on the CPU, the network in evaluation mode."""
    classifier.eval()
    found = []
    for at in range(0, len(clips), batch):
        rows = slice(at, at + batch)
        of_rows = {name: sums[rows] for name, sums in profiles.items()} if profiles else None
        embedded = material.embed(classifier, clips[rows])
        found.append(classifier.read(*embedded, of_rows).cpu())
    return torch.cat(found)


def seed_torch(*numbers: int) -> None:
    """Seed torch's generator by several whole numbers."""
    torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))


def validation_uar(logits: Tensor, truth: NDArray[np.int64]) -> float:
    """UAR over the labels that the validation speakers have."""
    predicted = logits.argmax(dim=1).numpy()
    present = np.unique(truth)
    return float(np.mean([np.mean(predicted[truth == label] == label) for label in present]))


def kept_epoch(curve: Sequence[Sequence[float]], keep: str) -> int:
    """The epoch to keep: the last, or the one of best validation UAR, ties by lower loss.

    >>> kept_epoch([[1, 0, 0.9, 0.5, 0], [2, 0, 0.7, 0.6, 0], [3, 0, 0.8, 0.6, 0]], "best")
    2
    """
    if keep == "last":
        return int(curve[-1][0])
    return int(min(curve, key=lambda row: (-row[3], row[2]))[0])


def write_curve(curve: Sequence[Sequence[float]], path: Path) -> None:
    """Write ``curve.csv``: one row per epoch."""
    with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(CURVE)
        table.writerows([int(row[0]), *(f"{value:.6f}" for value in row[1:])] for row in curve)


def _refuse_divergence(losses: Sequence[float], epoch: int, recipe: Recipe) -> None:
    if not np.isfinite(losses).all():
        raise RunError(
            f"the loss of {recipe.name} must stay finite. Got {losses[-1]} in epoch {epoch}. "
            f"Use a learning_rate below {recipe.learning_rate:g}."
        )


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
