"""Compare affekt's own network with a support vector machine (SVM) on the same activations.

    AFFEKT_DATA=FOLDER python benchmarks/plain.py

The features of a clip are mean and standard deviation over time of the activations after YAMNet's
fifth block; with enrolment, they are normalized by the speaker's other clips, without labels. The
SVM has scikit-learn's default settings; there is no augmentation. Folds, speakers and enrolment
are those of the network's recipes, whose archived results with the same seed are compared.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.progress import track
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from affekt.corpora import Manifest, load
from affekt.corpora.folds import Fold
from affekt.evaluation.comparison import compare
from affekt.evaluation.metrics import tally
from affekt.evaluation.results import collect
from affekt.experiments.feature_cache import Source
from affekt.experiments.fold import clips_of, part_of, source_of
from affekt.experiments.network import load_inputs, start_network
from affekt.experiments.profiles import enrolments
from affekt.experiments.recipe import Recipe
from affekt.experiments.recipe_files import read_recipe
from affekt.experiments.runner import make_folds
from affekt.experiments.training import Part
from affekt.runs.folder import Locations, usual_locations
from affekt.runs.reading import find_runs, read_run
from arguments import parser_of

ROOT = Path(__file__).parents[1]
RECIPES = ("ravdess-profile", "crossing")
PROFILES = ("none", "random-8", "all")
LEAST = 1e-2  # smallest standard deviation of an activation

Floats = NDArray[np.float64]
Sums = list[Floats]  # weight, sum and sum of squares of each clip's activations


def features(
    sums: Sums, clips: NDArray[np.int64], others: Mapping[int, NDArray[np.int64]]
) -> Floats:
    """Compute ``(clips, features)``, each normalized by its ``others``, if it has any."""
    rows = []
    for clip in clips:
        mean, deviation = moments(*(part[clip] for part in sums))
        if len(enrolled := others.get(int(clip), clips[:0])):
            centre, spread = moments(*(part[enrolled].sum(0) for part in sums))
            mean, deviation = (mean - centre) / spread, deviation / spread
        rows.append(np.concatenate([mean, deviation]))
    return np.stack(rows)


def moments(weight: Floats, total: Floats, square: Floats) -> tuple[Floats, Floats]:
    """Compute mean and standard deviation."""
    mean = total / weight
    return mean, np.sqrt(np.maximum(square / weight - mean**2, LEAST**2))


def sums_of(recipe: Recipe, source: Source, locations: Locations) -> Sums:
    """Compute the activations of the original recordings, or read them from the cache."""
    plain = recipe.with_(augmented_speakers=0, augment_channel=False)
    network = start_network(plain, 0, source, np.arange(len(source.manifest.clips)), locations)
    (recorded,) = load_inputs(plain, source, network).features
    return [np.asarray(part, np.float64) for part in recorded.sums.values()]


def answers(manifest: Manifest, fold: Fold, sums: Sums, recipe: Recipe) -> Iterator[list[object]]:
    """Yield profile, fold, clip, true label and the label that the SVM predicts."""
    training = part_of(manifest, clips_of(manifest, fold.train), balance=recipe.balance)
    tested = clips_of(manifest, fold.test)
    enrolled = dict(enrolments(manifest, tested, seed=(recipe.seed, fold.number)))
    without, with_others = (_fitted(sums, training, others) for others in ({}, training.others))
    for profile in PROFILES:
        machine, others = (with_others, enrolled[profile]) if profile in enrolled else (without, {})
        for clip, label in zip(
            tested, machine.predict(features(sums, tested, others)), strict=True
        ):
            who = manifest.names[clip], manifest.clips[clip].speaker, manifest.clips[clip].label
            yield [profile, fold.number, *who, manifest.labels[label]]


def _fitted(sums: Sums, training: Part, others: Mapping[int, NDArray[np.int64]]) -> Pipeline:
    machine, x = make_pipeline(StandardScaler(), SVC()), features(sums, training.clips, others)
    return machine.fit(x, training.truth, svc__sample_weight=training.weights)


def compared(name: str) -> Iterator[dict[str, object]]:
    """Compare SVM and network on each tested corpus and enrolment condition."""
    recipe = read_recipe(ROOT / "recipes" / f"{name}.toml")
    locations = usual_locations(recipe.corpus, data=None, runs=ROOT / "runs", weights=None)
    manifest = load(recipe.corpus, locations.data, partial=recipe.partial)
    sums = sums_of(recipe, source_of(recipe, manifest, locations), locations)
    folds = make_folds(recipe, manifest)
    rows = [row for fold in track(folds, name) for row in answers(manifest, fold, sums, recipe)]
    table = pd.DataFrame(rows, columns=["profile", "fold", "file", "speaker", "truth", "predicted"])
    table.insert(0, "seed", recipe.seed)
    runs = (read_run(folder) for folder in find_runs([ROOT / "results" / name]))
    (network,) = collect(run for run in runs if run.seed == recipe.seed)
    for part in network.by_corpus:
        files = set(part.predictions["file"])
        for profile in PROFILES:
            own = table[(table["profile"] == profile) & table["file"].isin(files)]
            other = part.under(profile)
            found = compare(other.tally, tally(own, manifest.labels))
            right = own["predicted"] == own["truth"]
            yield {
                "recipe": name,
                "test": part.tally.speakers[0].partition(":")[0],
                "profile": profile,
                "svm": right.groupby(own["truth"]).mean().mean(),
                "network": other.uar.value,
                **found.difference.columns("difference"),
                "p": found.p,
            }


def main() -> None:
    """Compare, print and write the table."""
    parser_of(__doc__).parse_args()
    found = pd.DataFrame([row for name in RECIPES for row in compared(name)]).round(6)
    found.to_csv(ROOT / "results" / "plain.csv", index=False, lineterminator="\n")
    print(found.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
