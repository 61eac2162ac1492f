"""A manifest to the baselines' features of its clips, kept on disk.

A clip's row is statistics of its cepstra and of the embeddings that the pretrained YAMNet gives
of its windows. Nothing is fitted, so one matrix serves all folds and classifiers.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from affekt.corpora.manifest import Manifest
from affekt.experiments.baselines import clip_features
from affekt.experiments.batches import Patches, cached, each_clip, read_samples
from affekt.experiments.network import ceiling_of, load_trunk
from affekt.experiments.recipe import Recipe
from affekt.experiments.run_folder import Places
from affekt.experiments.training import seed_torch
from affekt.model.yamnet import YAMNet

FORMAT = 1  # of the matrix; part of its digest


def load_features(
    recipe: Recipe, manifest: Manifest, patches: Patches, places: Places
) -> NDArray[np.float32]:
    """Features of all clips, from the cache, or computed and then kept there.

    Args:
        recipe: whose method names the cepstra.
        manifest: whose clips.
        patches: of the same manifest.
        places: where cache and weights are.

    Returns:
        ``(clips, 2126)``, in the manifest's order.

    Raises:
        AudioError: a recording that does not decode.
        ModelError: no weights, or others than the official ones.
        RunError: the cache cannot be written.
    """
    cepstra, _, _ = recipe.method.partition("-")
    seed = recipe.seed if recipe.weights == "random" else None
    facts = [FORMAT, patches.digest, recipe.front_end, recipe.hop, recipe.weights, seed, cepstra]

    def compute() -> tuple[NDArray[np.float32]]:
        seed_torch(recipe.seed)
        trunk = YAMNet(ceiling=ceiling_of(recipe))
        # the whole corpus may be looked at: an unfolded batch norm changes no embedding
        load_trunk(trunk, recipe, patches, np.arange(len(manifest.clips)), places)
        trunk.eval()

        def row(clip: int) -> NDArray[np.float32]:
            samples = read_samples(manifest, manifest.clips[clip])
            with torch.inference_mode():
                embeddings = trunk(patches.gather([clip])[0])[:, 0].numpy()
            return clip_features(samples, embeddings, cepstra=cepstra)  # type: ignore[arg-type]

        what = f"{cepstra} features of {manifest.corpus}"
        return (np.stack(each_clip(row, len(manifest.clips), what)),)

    (path,) = cached(places.cache, ("features",), facts, compute)
    features: NDArray[np.float32] = np.load(path)
    return features
