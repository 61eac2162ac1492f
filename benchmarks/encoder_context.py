"""Compare contexts, positions and layers of Whisper's encoder with a plain SVM, by speaker.

    python benchmarks/encoder_context.py --data DATA

DATA holds the folders ravdess and cremad. Features are mean and deviation of the encoder's steps
over a clip, as recorded or normalized by speaker; folds are of whole speakers (8 of RAVDESS, 5 of
a third of CREMA-D's). The context ``whole`` encodes each clip of RAVDESS at once with Whisper's own
normalization, which a stream cannot do. Writes ``results/encoder-context.csv``.
"""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.metrics import recall_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor

from affekt.audio.windows import PATCH_HOP, sliding_windows
from affekt.corpora import load
from affekt.corpora.manifest import Manifest
from affekt.corpora.recordings import read_samples
from affekt.model.pretrained import TURN_DETECTOR, find
from affekt.model.whisper import POOLED, SILENCE, WhisperEncoder, WhisperLogMel, WindowContext
from affekt.model.whisper_weights import Arrays, load_whisper, read_turn_detector
from arguments import parser_of, save

CORPORA = {"ravdess": 8, "cremad": 5}  # folds
EVERY = {"ravdess": 1, "cremad": 3}  # which of the speakers are used
LAYERS = (2, 3)
WHOLE = "whole"  # context: all windows of a clip, later ones too
CONTEXTS = [(1, False), (1, True), (2, False), (2, True)]  # windows, and whether positions are last
RANGE = 8.0  # decades below the maximum of a whole clip that Whisper keeps
WIDTH = 384  # of a layer
STEP = 640  # samples of a step
DECAY = 0.97  # of the running loudness: a time constant of 30 s


def encoder(arrays: Arrays, last: bool, context: int) -> WhisperEncoder:
    """An encoder of segments at the first or last positions that the file has."""
    made = WhisperEncoder(layers=max(LAYERS), context=context)
    steps = len(made.embed_positions.weight)
    positions = arrays["embed_positions.weight"]
    chosen = positions[-steps:] if last else positions[:steps]
    load_whisper(made, {**arrays, "embed_positions.weight": chosen})
    return made.eval()


def encode_whole(made: WhisperEncoder, samples: NDArray[np.float32]) -> Tensor:
    """Encode all windows of a clip as one segment: ``(steps, layers * 384)``."""
    outputs: list[Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda _, __, output: outputs.append(output[0]))
        for layer in made.layers
    ]
    level = (samples - samples.mean()) / samples.std()
    windows = sliding_windows(level, hop=PATCH_HOP, last_window="pad")
    frames = WhisperLogMel()(torch.tensor(windows)).flatten(0, 1) - SILENCE
    made((frames.clamp_min(frames.max() - RANGE)[None] + 4.0) / 4.0)
    for hook in hooks:
        hook.remove()
    return torch.cat(outputs, dim=1).unflatten(0, (-1, POOLED)).mean(dim=1)


def encode_stream(made: WhisperEncoder, samples: NDArray[np.float32], context: int) -> Tensor:
    """Encode each window with those before it: ``(steps, layers * 384)``."""
    windows = sliding_windows(samples, hop=PATCH_HOP, last_window="pad")
    joined = WindowContext(context, DECAY)
    start = {name: torch.zeros(1, *shape) for name, shape in joined.state.items()}
    patches = WhisperLogMel()(torch.tensor(windows))
    return made(joined(patches[None], start)[0][0]).flatten(0, 1)


@torch.inference_mode()
def features(
    make: Callable[[int], WhisperEncoder], samples: NDArray[np.float32], context: int | str
) -> NDArray[np.float32]:
    """Mean and deviation of the steps of a clip, ``(layers, 2 * 384)``."""
    if isinstance(context, int):
        steps = encode_stream(make(context), samples, context)
    else:
        windows = sliding_windows(samples, hop=PATCH_HOP, last_window="pad")
        steps = encode_whole(make(len(windows) - 1), samples)
    steps = steps[: max(1, -(-samples.size // STEP))].unflatten(1, (-1, WIDTH))
    return torch.cat([steps.mean(0), steps.std(0, correction=0)], dim=1).numpy()


def uar(rows: NDArray[np.float32], manifest: Manifest, folds: int, *, normalized: bool) -> float:
    """UAR of an SVM, speakers held out."""
    truth = np.array([clip.label for clip in manifest.clips])
    speakers = np.array([clip.speaker for clip in manifest.clips])
    rows = rows.copy()
    for speaker in set(speakers) if normalized else ():
        own = speakers == speaker
        rows[own] = (rows[own] - rows[own].mean(0)) / (rows[own].std(0) + 1e-6)
    model = make_pipeline(StandardScaler(), SVC(C=3.0, class_weight="balanced"))
    predicted = cross_val_predict(model, rows, truth, groups=speakers, cv=GroupKFold(folds))
    return float(recall_score(truth, predicted, labels=manifest.labels, average="macro"))


def compare(data: Path) -> pd.DataFrame:
    """A row for each corpus, context, choice of positions and number of layers."""
    arrays = read_turn_detector(find(TURN_DETECTOR))
    rows = []
    for corpus, folds in CORPORA.items():
        manifest = load(corpus, data / corpus)
        chosen = manifest.speakers[:: EVERY[corpus]]
        clips = tuple(clip for clip in manifest.clips if clip.speaker in chosen)
        manifest = Manifest(corpus, manifest.task, manifest.labels, manifest.root, clips)
        sounds = [read_samples(manifest, clip) for clip in clips]
        for context, last in [*CONTEXTS, (WHOLE, False)] if corpus == "ravdess" else CONTEXTS:
            make = cache(partial(encoder, arrays, last))
            found = np.stack([features(make, sound, context) for sound in sounds])
            for layers in LAYERS:
                of_layers = found[:, :layers].reshape(len(clips), -1)
                scores = [uar(of_layers, manifest, folds, normalized=n) for n in (False, True)]
                where = "last" if last else "first"
                rows.append([corpus, context, where, layers, *np.round(scores, 3)])
    names = ["corpus", "context", "positions", "layers", "uar", "uar_normalized"]
    return pd.DataFrame(rows, columns=names)


def main() -> None:
    data = parser_of(__doc__, data="ravdess, cremad").parse_args().data
    save(compare(data), Path("results/encoder-context.csv"))


if __name__ == "__main__":
    main()
