"""Build the network of a recipe and fold with its initial weights, and evaluate a trained one."""

import os
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from affekt.experiments.feature_cache import Features, Source
from affekt.experiments.minibatches import Inputs, predict
from affekt.experiments.profiles import profile_of, stacked
from affekt.experiments.recipe import Recipe
from affekt.experiments.training import seed_torch
from affekt.model.architecture import Architecture
from affekt.model.classifier import Classifier, trunk_digest
from affekt.model.pretrained import TURN_DETECTOR
from affekt.model.whisper_weights import load_turn_detector
from affekt.model.yamnet import YAMNet
from affekt.model.yamnet_weights import load_yamnet
from affekt.runs.folder import Locations

UNFOLDING_CLIPS = 96  # whose windows give the statistics of YAMNet's batch norms


def architecture_of(recipe: Recipe, labels: tuple[str, ...]) -> Architecture:
    """The network that a recipe describes: its fields are knobs of the same names."""
    names = [each.name for each in fields(Architecture) if each.name != "labels"]
    return Architecture(labels, **{name: getattr(recipe, name) for name in names})


def start_network(
    recipe: Recipe, fold: int, source: Source, training: NDArray[np.int64], locations: Locations
) -> Classifier:
    """The network before its first step: pretrained trunk, random head, seeded by recipe and fold.

    YAMNet's batch norms start from some of the ``(clips,)`` rows to learn from.

    Raises:
        ModelError: no weights, or others than the published ones.
    """
    seed_torch(recipe.seed, fold)
    classifier = Classifier(source.architecture)
    if isinstance(classifier.trunk, YAMNet):
        load_trunk(classifier.trunk, recipe, source, training, locations)
    else:
        load_turn_detector(classifier.trunk, locations.weights)
    return classifier.to(usual_device())


def load_inputs(recipe: Recipe, source: Source, classifier: Classifier) -> Inputs:
    """The inputs of a recipe's network for all clips, from the cache or computed now.

    Pretrained weights are the same in all folds, and so are the features of a frozen trunk. A
    trunk of random weights differs from fold to fold, and so do its cached features.
    """
    speakers = range(recipe.augmented_speakers + 1)
    if not recipe.frozen:
        return Inputs(patches=tuple(source.patches(speaker) for speaker in speakers))
    a = source.architecture
    key: list[object] = [a.blocks, recipe.weights]
    if a.trunk == "whisper":
        key = [TURN_DETECTOR, a.encoder_layers, a.context]
    elif recipe.weights == "random":
        key = [a.blocks, trunk_digest(classifier)]
    return Inputs(features=tuple(source.features(classifier, key, speaker) for speaker in speakers))


def set_population(
    classifier: Classifier, features: Sequence[Features], clips: NDArray[np.int64]
) -> None:
    """Set the population statistics of the speaker normalization, if the network has one.

    Args:
        features: of the original recordings and of the simulated speakers.
        clips: ``(clips,)`` rows to learn from.
    """
    if classifier.speaker is None:
        return
    profiles = stacked(profile_of(each, clips) for each in features)
    classifier.speaker.set_population({name: sums.sum(0) for name, sums in profiles.items()})


def usual_device() -> torch.device:
    """A CUDA device where PyTorch sees one (``CUDA_VISIBLE_DEVICES`` hides it), else the CPU.

    Makes CUDA deterministic, and its float32 exact: cuDNN rounds to TF32 by default.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32 = True, False
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_trunk(
    trunk: YAMNet, recipe: Recipe, source: Source, clips: NDArray[np.int64], locations: Locations
) -> None:
    """Load the recipe's weights into YAMNet; random ones are already there.

    The batch norms start from some of the ``(clips,)`` rows, which must be allowed for training.
    """
    if recipe.weights != "random":
        spread = np.linspace(0, len(clips) - 1, UNFOLDING_CLIPS).astype(int)
        windows = source.patches().gather(clips[np.unique(spread)])
        load_yamnet(trunk, windows, locations.weights)


def evaluate(
    classifier: Classifier, inputs: Inputs, clips: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Predict some clips, and record the inputs of the head's last layer.

    Returns:
        Probabilities ``(clips, labels)`` and activations ``(clips, features)``.
    """
    seen: list[Tensor] = []
    hook = classifier.head.classes.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    logits = predict(classifier, inputs, clips, batch=1)
    hook.remove()
    activations = np.concatenate([each[0, -1, :1].cpu().numpy() for each in seen])
    return logits.softmax(dim=1).numpy(), activations
