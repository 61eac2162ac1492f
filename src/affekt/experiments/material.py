"""Recordings to what the network is given of them: patches, and a frozen CNN's activations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from affekt.corpora.manifest import Manifest
from affekt.experiments.activations import Activations, gather, load_activations
from affekt.experiments.batches import Patches, load_patches, spoken_as
from affekt.experiments.recipe import Recipe
from affekt.experiments.run_folder import Places
from affekt.model.architecture import Architecture
from affekt.model.backbone import Backbone
from affekt.model.classifier import Classifier, trunk_digest


@dataclass(frozen=True)
class Material:
    """All clips of a manifest, ready for the network.

    Attributes:
        patches: one entry a voice, 0 as recorded.
        activations: likewise, of a frozen CNN; empty where the CNN is trained.
    """

    patches: tuple[Patches, ...]
    activations: tuple[Activations, ...] = ()

    def embed(
        self,
        classifier: Classifier,
        clips: NDArray[np.int64],
        spoken: NDArray[np.int64] | None = None,
        *,
        halved: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the CNN makes of some clips.

        Args:
            classifier: the network.
            clips: ``(clips,)`` rows of the manifest.
            spoken: ``(clips,)`` the voice of each; as recorded by default.
            halved: whether the CNN computes in bfloat16.

        Returns:
            Steps ``(windows, steps, features)``, shares ``(windows, steps)``, lengths ``(clips,)``.
        """
        spoken = np.zeros_like(clips) if spoken is None else spoken
        device = classifier.device
        if self.activations:
            steps, shares, lengths = gather(self.activations, clips, spoken)
            return steps.to(device), shares.to(device), lengths
        parts = [self.patches[v].gather([c])[0] for c, v in zip(clips, spoken, strict=True)]
        patches = torch.cat(parts).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=halved):
            steps = classifier.trunk(patches)
        # in float32: oneDNN's bfloat16 LSTM dies of an illegal instruction on some processors
        return steps.float(), classifier.shares(patches), torch.tensor([len(p) for p in parts])


def load_all_patches(
    recipe: Recipe, manifest: Manifest, architecture: Architecture, places: Places
) -> tuple[Patches, ...]:
    """The patches of every voice of a recipe, as recorded first.

    Raises:
        AffektError: as :func:`~affekt.experiments.batches.load_patches`.
    """
    return tuple(
        load_patches(manifest, places.cache, architecture, voice=voice, places=recipe.places)
        for voice in range(recipe.voices + 1)
    )


def load_material(
    recipe: Recipe,
    manifest: Manifest,
    patches: Sequence[Patches],
    classifier: Classifier,
    places: Places,
) -> Material:
    """What a recipe's network is given, from the cache, or computed and then kept there.

    Official weights are the same in all folds, and so are their activations. A CNN of random
    weights is another one in each fold, which keeps its own.

    Args:
        recipe: the knobs.
        manifest: whose clips.
        patches: of every voice.
        classifier: the network at its start.
        places: where the cache is.

    Raises:
        RunError: the cache cannot be written.
    """
    if not recipe.frozen:
        return Material(tuple(patches))
    a, trunk = classifier.architecture, classifier.trunk
    of: list[object]
    if isinstance(trunk, Backbone):
        of = [a.backbone, trunk.digest]
    elif recipe.weights == "random":
        of = [a.blocks, trunk_digest(classifier)]
    else:
        of = [a.blocks, recipe.weights]
    if a.columns > 1:
        of.append(a.columns)
    facts = [patches[0].digest, a.front_end, a.hop, a.tail, a.level, *of]
    return Material(
        tuple(patches),
        tuple(
            load_activations(
                classifier,
                spoken,
                places.cache,
                facts=[*facts, *spoken_as(voice, places=recipe.places)],
                what=f"activations of {manifest.corpus}, voice {voice}",
            )
            for voice, spoken in enumerate(patches)
        ),
    )
