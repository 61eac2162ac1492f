"""Measure the accuracy of float16 models against float32, on the test clips of a run.

    AFFEKT_DATA=FOLDER python benchmarks/precision.py RUN

RUN is the folder of a run with its networks. Each is exported with float16 weights, as shipped. The
model predicts the test clips of the fold, and is compared with the float32 network.
"""

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from rich.progress import track
from sklearn.metrics import recall_score

import affekt
from affekt.audio.windows import SAMPLE_RATE
from affekt.corpora.folds import read_folds
from affekt.corpora.joined import corpus_of
from affekt.corpora.manifest import read_manifest
from affekt.corpora.recordings import read_samples
from affekt.experiments.recipe import Recipe
from affekt.experiments.recipe_files import read_recipe
from affekt.model.export import export
from affekt.runs.folder import fold_name, usual_locations
from affekt.runs.predictions import read_predictions
from arguments import parser_of, save

KINDS = ("float32", "float16")


class Answer(NamedTuple):
    """A test clip: its corpus, true label, and the label predicted by each model."""

    corpus: str
    truth: str
    said: dict[str, str]


def answers(run: Path, recipe: Recipe) -> Iterator[Answer]:
    """Predict the test clips of all finished folds of a run."""
    locations = usual_locations(recipe.corpus, data=None, runs=run.parent, weights=None)
    manifest = read_manifest(run / "manifest.csv", locations.data)
    for fold in track(read_folds(run / "folds.csv"), "folds"):
        folder = run / fold_name(fold.number)
        if not all((folder / name).is_file() for name in ("predictions.csv", "model.pt")):
            continue
        exact = read_predictions(folder / "predictions.csv").set_index("file")["predicted"]
        with tempfile.TemporaryDirectory() as scratch:
            model = Path(scratch, "float16.onnx")
            export(folder / "model.pt", model, name="float16")
            predictor = affekt.load(model, limits=None)  # a label even where quality is low
            for clip in (clip for clip in manifest.clips if clip.file in exact.index):
                sound = read_samples(manifest, clip)
                halved = predictor.predict(sound, sample_rate=SAMPLE_RATE).label
                said = {"float32": exact[clip.file], "float16": halved}
                yield Answer(corpus_of(clip.speaker), clip.label, said)


def table(found: list[Answer]) -> pd.DataFrame:
    """Tabulate UAR by corpus and model, and the share of predictions that differ from float32."""
    groups: dict[str, list[Answer]] = defaultdict(list)
    for answer in found:
        groups[answer.corpus].append(answer)
    rows = []
    for corpus, of_corpus in groups.items():
        truth = [each.truth for each in of_corpus]
        labels = sorted(set(truth))
        for kind in KINDS:
            said = [each.said[kind] for each in of_corpus]
            exact = [each.said["float32"] for each in of_corpus]
            changed = np.mean([one != other for one, other in zip(said, exact, strict=True)])
            uar = recall_score(truth, said, labels=labels, average="macro")
            rows.append((corpus, kind, len(said), uar, changed))
    frame = pd.DataFrame(rows, columns=["corpus", "weights", "clips", "uar", "changed"])
    means = frame.groupby("weights")[["uar", "changed"]].mean().loc[list(KINDS)].reset_index()
    means = means.assign(corpus="mean of corpora", clips=len(found))
    return pd.concat([frame, means[frame.columns]]).round(4)


def main() -> None:
    parser = parser_of(__doc__, output="results/precision.csv")
    parser.add_argument("run", type=Path, help="folder of a run, with its networks")
    chosen = parser.parse_args()
    found = answers(chosen.run, read_recipe(chosen.run / "recipe.toml"))
    save(table(list(found)), chosen.output)


if __name__ == "__main__":
    main()
