"""Compute the baselines' features of all clips once, and keep them on disk.

A clip's row holds statistics of its cepstra and of the embeddings that the pretrained YAMNet gives
for its windows. Nothing is fitted, so one matrix serves all folds and classifiers.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from affekt.audio.cepstra import clip_features, statistics
from affekt.experiments.feature_cache import Source, cached, each_clip, read_samples
from affekt.experiments.network import load_trunk
from affekt.experiments.recipe import Recipe
from affekt.experiments.training import seed_torch
from affekt.model.yamnet import YAMNet
from affekt.runs.folder import Locations

FORMAT = 1  # of the matrix; part of its digest


def load_features(recipe: Recipe, source: Source, locations: Locations) -> NDArray[np.float32]:
    """Features of all clips, with the cepstra of the recipe's method; cached.

    Returns:
        ``(clips, 2126)``, in the manifest's order.

    Raises:
        AudioError: a recording that does not decode.
        ModelError: no weights, or others than the official ones.
        RunError: the cache cannot be written.
    """
    cepstra, _, _ = recipe.method.partition("-")
    seed = recipe.seed if recipe.weights == "random" else None
    facts = [FORMAT, source.digest, recipe.front_end, recipe.hop, recipe.weights, seed, cepstra]
    manifest = source.manifest

    def compute() -> tuple[NDArray[np.float32]]:
        seed_torch(recipe.seed)
        trunk = YAMNet()
        # all clips may be used: an unfolded batch norm changes no embedding
        load_trunk(trunk, recipe, source, np.arange(len(manifest.clips)), locations)
        trunk.eval()
        patches = source.patches()

        def row(clip: int) -> NDArray[np.float32]:
            samples = read_samples(manifest, manifest.clips[clip])
            with torch.inference_mode():
                embeddings = trunk(patches.gather([clip])[0])[:, 0].numpy()
            own = clip_features(samples, cepstra)  # type: ignore[arg-type]
            return np.concatenate([own, statistics(embeddings)])

        what = f"{cepstra} features of {manifest.corpus}"
        return (np.stack(each_clip(row, len(manifest.clips), what)),)

    (path,) = cached(locations.cache, ("features",), facts, compute)
    features: NDArray[np.float32] = np.load(path)
    return features
