"""Compare contexts, positions and layers of Whisper's encoder with a plain SVM, by speaker.

    python benchmarks/encoder_context.py --data DATA

DATA holds the folders ravdess and cremad. Features are mean and deviation of the encoder's steps
over a clip, as recorded or normalized by speaker; folds are of whole speakers (8 of RAVDESS, 5 of
a third of CREMA-D's). Writes ``results/encoder-context.csv``.
"""

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

from affekt.audio.windows import PATCH_HOP, sliding_windows
from affekt.corpora import load
from affekt.corpora.manifest import Manifest
from affekt.corpora.recordings import read_samples
from affekt.model.pretrained import TURN_DETECTOR, find
from affekt.model.whisper import WhisperEncoder, WhisperLogMel, WindowContext
from affekt.model.whisper_weights import Arrays, load_whisper, read_turn_detector
from arguments import parser_of, save

CORPORA = {"ravdess": 8, "cremad": 5}  # folds
EVERY = {"ravdess": 1, "cremad": 3}  # which of the speakers are used
LAYERS = (2, 3)
CONTEXTS = (1, 2)  # windows
WIDTH = 384  # of a layer
STEP = 640  # samples of a step
DECAY = 0.97  # of the running loudness: a time constant of 30 s


def encoder(arrays: Arrays, context: int, layers: int, *, last: bool) -> WhisperEncoder:
    """An encoder of segments at the first or last positions that the file has."""
    made = WhisperEncoder(layers=layers, context=context)
    steps = len(made.embed_positions.weight)
    positions = arrays["embed_positions.weight"]
    chosen = positions[-steps:] if last else positions[:steps]
    load_whisper(made, {**arrays, "embed_positions.weight": chosen})
    return made.eval()


@torch.inference_mode()
def features(
    made: WhisperEncoder, samples: NDArray[np.float32], context: int
) -> NDArray[np.float32]:
    """Mean and deviation of the steps of a clip, ``(layers, 2 * 384)``."""
    windows = sliding_windows(samples, hop=PATCH_HOP, last_window="pad")
    joined = WindowContext(context, DECAY)
    start = {name: torch.zeros(1, *shape) for name, shape in joined.state.items()}
    patches = WhisperLogMel()(torch.tensor(windows))
    steps = made(joined(patches[None], start)[0][0]).flatten(0, 1)
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
        for context in CONTEXTS:
            for last in (False, True):
                made = encoder(arrays, context, max(LAYERS), last=last)
                found = np.stack([features(made, sound, context) for sound in sounds])
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
