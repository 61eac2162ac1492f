"""What a user would pick instead of affekt's own network: an SVM on the same activations.

    AFFEKT_DATA=FOLDER python benchmarks/plain.py

Mean and deviation of each clip's activations, over time, go to scikit-learn's support vector
machine as it comes; where the speaker is known, both are first normalized by the speaker's other
clips, without labels. No simulated voices, no attention, nothing chosen. The folds, speakers and
profiles are those of the network's recipes, whose kept results of the same seed stand beside it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from affekt.experiments.batches import load_patches
from affekt.experiments.material import load_material
from numpy.typing import NDArray
from rich.progress import track
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from affekt.corpora import Manifest, load
from affekt.corpora.folds import Fold
from affekt.evaluation.comparison import compare
from affekt.evaluation.results import collect
from affekt.evaluation.tally import tally
from affekt.experiments.fold import part_of
from affekt.experiments.network import architecture_of, start_network
from affekt.experiments.profiles import enrolments
from affekt.experiments.recipe import Recipe, read_recipe
from affekt.experiments.training import Part
from affekt.runs.folder import Locations, make_folds, usual_locations
from affekt.runs.reading import find_runs, read_run

ROOT = Path(__file__).parents[1]
RECIPES = ("ravdess-profile", "crossing")
PROFILES = ("none", "random-8", "all")
LEAST = 1e-2  # deviation of an activation

Floats = NDArray[np.float64]


class Sums:
    """Of each clip weight, sum and sum of squares of its activations, and mean and deviation."""

    def __init__(self, weight: Floats, total: Floats, square: Floats) -> None:
        self.parts = weight, total, square
        self.mean, self.deviation = moments(*self.parts)

    def features(self, clips: NDArray[np.int64], others: Mapping[int, NDArray[np.int64]]) -> Floats:
        """``(clips, features)``, each normalized by its ``others``, if it has any."""
        rows = []
        for clip in clips:
            mean, deviation = self.mean[clip], self.deviation[clip]
            if len(known := others.get(int(clip), clips[:0])):
                centre, spread = moments(*(part[known].sum(0) for part in self.parts))
                mean, deviation = (mean - centre) / spread, deviation / spread
            rows.append(np.concatenate([mean, deviation]))
        return np.stack(rows)


def moments(weight: Floats, total: Floats, square: Floats) -> tuple[Floats, Floats]:
    """Mean and deviation."""
    mean = total / weight
    return mean, np.sqrt(np.maximum(square / weight - mean**2, LEAST**2))


def sums_of(recipe: Recipe, manifest: Manifest, places: Locations) -> Sums:
    """The activations as recorded, from the cache of the recipe's runs or made for it."""
    architecture = architecture_of(recipe, manifest.labels)
    patches = (load_patches(manifest, places.cache, architecture),)
    everything = np.arange(len(manifest.clips))
    network = start_network(recipe, manifest.labels, 0, patches[0], everything, places)
    (recorded,) = load_material(recipe, manifest, patches, network, places).activations
    return Sums(*(np.asarray(part, np.float64) for part in recorded.sums.values()))


def answers(manifest: Manifest, fold: Fold, sums: Sums, recipe: Recipe) -> Iterator[list[object]]:
    """Rows of profile, fold, clip and what the machine says of it."""
    training = part_of(manifest, fold.train, balance=recipe.balance)
    tested = part_of(manifest, fold.test).clips
    known = dict(enrolments(manifest, tested, seed=(recipe.seed, fold.number)))
    stranger, friend = (_fitted(sums, training, others) for others in ({}, training.others))
    for profile in PROFILES:
        machine, others = (friend, known[profile]) if profile in known else (stranger, {})
        for clip, label in zip(tested, machine.predict(sums.features(tested, others)), strict=True):
            who = manifest.names[clip], manifest.clips[clip].speaker, manifest.clips[clip].label
            yield [profile, fold.number, *who, manifest.labels[label]]


def _fitted(sums: Sums, training: Part, others: Mapping[int, NDArray[np.int64]]) -> Pipeline:
    features = sums.features(training.clips, others)
    machine = make_pipeline(StandardScaler(), SVC())
    return machine.fit(features, training.truth, svc__sample_weight=training.weights)


def compared(name: str) -> Iterator[dict[str, object]]:
    """A row for each corpus tested and profile: the machine, the network, their difference."""
    recipe = read_recipe(ROOT / "recipes" / f"{name}.toml")
    places = usual_locations(recipe, data=None, runs=ROOT / "runs", weights=None)
    manifest = load(recipe.corpus, places.data, partial=recipe.partial)
    sums = sums_of(recipe, manifest, places)
    folds = make_folds(recipe, manifest)
    rows = [row for fold in track(folds, name) for row in answers(manifest, fold, sums, recipe)]
    table = pd.DataFrame(rows, columns=["profile", "fold", "file", "speaker", "truth", "predicted"])
    table.insert(0, "seed", recipe.seed)
    for label in manifest.labels:  # which tell a table's labels and their order
        table[f"p_{label}"] = (table["predicted"] == label).astype(float)
    runs = (read_run(folder) for folder in find_runs([ROOT / "results" / name]))
    (network,) = collect(run for run in runs if run.seed == recipe.seed)
    for part in network.by_corpus:
        files = set(part.predictions["file"])
        for profile in PROFILES:
            own = table[(table["profile"] == profile) & table["file"].isin(files)]
            other = part.under(profile)
            found = compare(other.tally, tally(own.drop(columns="profile").reset_index(drop=True)))
            right = own["predicted"] == own["truth"]
            yield {
                "recipe": name,
                "test": part.tally.speakers[0].partition(":")[0],
                "profile": profile,
                "svm": right.groupby(own["truth"]).mean().mean(),
                "network": other.uar.value,
                "difference": found.difference.value,
                "low": found.difference.low,
                "high": found.difference.high,
                "p": found.p,
            }


def main() -> None:
    """Compare, print, and keep as CSV."""
    found = pd.DataFrame([row for name in RECIPES for row in compared(name)]).round(6)
    found.to_csv(ROOT / "results" / "plain.csv", index=False, lineterminator="\n")
    print(found.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
