"""Measure the accuracy of float16 models against float32, on the test clips of a run.

    AFFEKT_DATA=FOLDER python benchmarks/precision.py RUN

RUN is the folder of a run with its networks. Each is exported with float16 weights, as shipped. The
model predicts the test clips of the fold, and is compared with the float32 network.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

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


def answers(run: Path, recipe: Recipe) -> Iterator[dict[str, str]]:
    """Yield corpus, true label and the label of each model for the clips of all finished folds."""
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
                yield {"corpus": corpus_of(clip.speaker), "truth": clip.label, **said}


def table(found: pd.DataFrame) -> pd.DataFrame:
    """Tabulate UAR by corpus and model, and the share of predictions that differ from float32."""
    rows = []
    for corpus, clips in found.groupby("corpus", sort=False):
        labels = clips["truth"].unique()
        for kind in KINDS:
            changed = (clips[kind] != clips["float32"]).mean()
            uar = recall_score(clips["truth"], clips[kind], labels=labels, average="macro")
            rows.append((corpus, kind, len(clips), uar, changed))
    frame = pd.DataFrame(rows, columns=["corpus", "weights", "clips", "uar", "changed"])
    means = frame.groupby("weights")[["uar", "changed"]].mean().loc[list(KINDS)].reset_index()
    means = means.assign(corpus="mean of corpora", clips=len(found))
    return pd.concat([frame, means[frame.columns]]).round(4)


def main() -> None:
    parser = parser_of(__doc__, output="results/precision.csv")
    parser.add_argument("run", type=Path, help="folder of a run, with its networks")
    chosen = parser.parse_args()
    found = answers(chosen.run, read_recipe(chosen.run / "recipe.toml"))
    save(table(pd.DataFrame(found)), chosen.output)


if __name__ == "__main__":
    main()
