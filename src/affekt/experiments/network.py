"""Recipe and fold to the network before its first step, and a trained network to its answers."""

import math
import os
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from affekt.experiments.activations import Activations
from affekt.experiments.batches import Patches
from affekt.experiments.clashes import YAMNET
from affekt.experiments.material import Material
from affekt.experiments.profiles import profile_of
from affekt.experiments.recipe import Recipe
from affekt.experiments.run_folder import Places
from affekt.experiments.training import predict, seed_torch
from affekt.model.architecture import WAVEFORM, Architecture
from affekt.model.backbone import Backbone, load_backbone, read_form
from affekt.model.classifier import Classifier
from affekt.model.weights import load_yamnet
from affekt.model.yamnet import YAMNet

UNFOLDING_CLIPS = 96  # whose windows the batch norms' statistics come from


def start_network(
    recipe: Recipe,
    labels: tuple[str, ...],
    fold: int,
    patches: Patches,
    training: NDArray[np.int64],
    places: Places,
) -> Classifier:
    """The network before its first step: pretrained CNN, fresh head, seeded by recipe and fold.

    Args:
        recipe: the knobs.
        labels: of the task.
        fold: number of the fold.
        patches: of the whole manifest.
        training: ``(clips,)`` rows to learn from; batch norms start from some of them.
        places: where the weights are.

    Raises:
        ModelError: no weights, others than the official ones, or no such backbone.
    """
    seed_torch(recipe.seed, fold)
    classifier = Classifier(architecture_of(recipe, labels))
    if isinstance(classifier.trunk, Backbone):
        load_backbone(classifier.trunk, recipe.backbone)
    else:
        load_trunk(classifier.trunk, recipe, patches, training, places)
    return classifier.to(usual_device())


def architecture_of(recipe: Recipe, labels: tuple[str, ...]) -> Architecture:
    """The network that a recipe describes.

    Raises:
        ModelError: its backbone is not there, or not one of speech.
    """
    backbone = read_form(recipe.backbone) if recipe.backbone != YAMNET else ""
    return Architecture(
        labels,
        front_end=WAVEFORM if backbone else recipe.front_end,
        ceiling=ceiling_of(recipe),
        head=recipe.head,
        hop=recipe.hop,
        tail=recipe.tail,
        blocks=recipe.blocks,
        columns=recipe.columns,
        level=recipe.level,
        profile=recipe.profile,
        memory=recipe.memory,
        members=recipe.members,
        backbone=backbone,
    )


def set_population(
    classifier: Classifier, voices: Sequence[Activations], clips: NDArray[np.int64]
) -> None:
    """Let the network know the training population, in all of its voices.

    Args:
        classifier: a network that normalizes by speaker; others are left alone.
        voices: the activations.
        clips: ``(clips,)`` rows to learn from.
    """
    if classifier.speaker is None:
        return
    profiles = [profile_of(voice, clips) for voice in voices]
    everybody = {name: torch.stack([p[name] for p in profiles]).sum(0) for name in profiles[0]}
    classifier.speaker.set_population(everybody)


def usual_device() -> torch.device:
    """A CUDA device where PyTorch sees one (``CUDA_VISIBLE_DEVICES`` hides it), else the CPU.

    Sets what makes CUDA give the same numbers twice.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.deterministic = True
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def ceiling_of(recipe: Recipe) -> float:
    """The rectifier's upper bound that the recipe's weights were trained with."""
    return math.inf if recipe.weights == "yamnet.h5" else 6.0


def load_trunk(
    trunk: YAMNet,
    recipe: Recipe,
    patches: Patches,
    clips: NDArray[np.int64],
    places: Places,
) -> None:
    """Put the recipe's weights into a CNN; random ones are already there.

    Args:
        trunk: the CNN to fill.
        recipe: the knobs.
        patches: of the whole manifest.
        clips: ``(clips,)`` rows that may be looked at; batch norms start from some of them.
        places: where the weights are.
    """
    if recipe.weights != "random":
        spread = np.linspace(0, len(clips) - 1, UNFOLDING_CLIPS).astype(int)
        windows, _ = patches.gather(clips[np.unique(spread)])
        load_yamnet(trunk, windows, recipe.weights, places.weights)


@torch.inference_mode()
def evaluate(
    classifier: Classifier, material: Material, clips: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Probabilities of some clips, and what the head's last layer was given for each.

    Returns:
        ``(clips, labels)`` and ``(clips, features)``.
    """
    seen: list[Tensor] = []
    hook = classifier.head.classes.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    logits = predict(classifier, material, clips, batch=1)
    hook.remove()
    activations = np.concatenate([answers[0, -1:].cpu().numpy() for answers in seen])
    return logits.softmax(dim=1).numpy(), activations
