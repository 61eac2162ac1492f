"""What a smaller model file costs: the networks of a run's folds as files, on their own test clips.

    python benchmarks/precision.py runs/corpora-1234

Each fold's network is written with weights of 16 bits, as it ships, and in int8 with ranges from
recordings of its training speakers; both files hear the recordings of the fold's test speakers,
and their answers stand beside those of the network in float32.
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from affekt.experiments.batches import read_samples
from rich.progress import track

import affekt
from affekt.audio.windows import SAMPLE_RATE
from affekt.corpora.folds import Fold, read_folds
from affekt.corpora.joined import corpus_of
from affekt.corpora.manifest import Manifest, read_manifest
from affekt.evaluation.metrics import unweighted_average_recall
from affekt.experiments.preparation import usual_locations
from affekt.experiments.recipe import Recipe, read_recipe
from affekt.model.export import export
from affekt.runs.predictions import labels_of, read_predictions
from affekt.runs.reading import fold_name

KINDS = ("float32", "float16", "int8")
CALIBRATING = 48  # recordings of training speakers that the ranges of int8 come from


class Answer(NamedTuple):
    """A tested clip: its corpus, what is true, and what each kind of file says."""

    corpus: str
    truth: str
    said: dict[str, str]


def answers(run: Path, recipe: Recipe) -> Iterator[Answer]:
    """The test clips of all folds of a run that are done."""
    places = usual_locations(recipe, data=None, runs=run.parent, weights=None)
    manifest = read_manifest(run / "manifest.csv", places.data)
    for fold in track(read_folds(run / "folds.csv"), "folds"):
        folder = run / fold_name(fold.number)
        if not all((folder / name).is_file() for name in ("predictions.csv", "model.pt")):
            continue
        table = read_predictions(folder / "predictions.csv").set_index("file")
        labels = labels_of(table.reset_index())
        with tempfile.TemporaryDirectory() as scratch:
            models = exported(folder / "model.pt", Path(scratch), manifest, fold)
            for clip in (clip for clip in manifest.clips if clip.file in table.index):
                row, sound = table.loc[clip.file], read_samples(manifest, clip)
                scores = row[[f"p_{label}" for label in labels]].to_numpy(float)
                said = {"float32": labels[scores.argmax()]}
                for kind, predictor in models.items():
                    said[kind] = predictor.predict(sound, sample_rate=SAMPLE_RATE).label
                yield Answer(corpus_of(clip.speaker), clip.label, said)


def exported(
    network: Path, scratch: Path, manifest: Manifest, fold: Fold
) -> dict[str, affekt.Predictor]:
    """The files of a fold's network, loaded."""
    heard = scratch / "training"
    heard.mkdir()
    training = [clip for clip in manifest.clips if clip.speaker in fold.train]
    for number in np.unique(np.linspace(0, len(training) - 1, CALIBRATING).astype(int)):
        file = manifest.root / training[number].file
        (heard / f"{number}{file.suffix}").symlink_to(file)
    made = {}
    for kind in KINDS[1:]:
        model = scratch / f"{kind}.onnx"
        recordings = heard if kind == "int8" else None
        export(network, model, name=kind, precision=kind, recordings=recordings)
        made[kind] = affekt.load(model)
    return made


def table(found: list[Answer]) -> pd.DataFrame:
    """UAR of each kind by corpus, and over all; what it loses against float32, and how often."""
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
            uar = unweighted_average_recall(truth, said, labels=labels)
            rows.append((corpus, kind, len(said), uar, changed))
    frame = pd.DataFrame(rows, columns=["corpus", "weights", "clips", "uar", "changed"])
    means = frame.groupby("weights")[["uar", "changed"]].mean().loc[list(KINDS)].reset_index()
    means = means.assign(corpus="mean of corpora", clips=len(found))
    return pd.concat([frame, means[frame.columns]]).round(4)


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a run, with its networks")
    parser.add_argument("-o", "--output", type=Path, default=Path("results/precision.csv"))
    chosen = parser.parse_args()
    found = table(list(answers(chosen.run, read_recipe(chosen.run / "recipe.toml"))))
    found.to_csv(chosen.output, index=False, lineterminator="\n")
    print(found.to_string(index=False))


if __name__ == "__main__":
    main()
