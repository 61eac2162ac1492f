"""Compare settings of the encoder's network on development splits, before a recipe is chosen.

    python benchmarks/development.py --data DATA [--set KNOB=VALUE]... [--seed N]

DATA holds ravdess, emovo, nemo and cremad. Three splits by speaker:

* ``half``: every second speaker of each corpus trains; the others are tested.
* ``cremad``: CREMA-D trains; RAVDESS is tested.
* ``others``: RAVDESS, EMOVO and nEMO train; CREMA-D is tested.

Without ``--set`` the recipe ``corpora-encoder`` is trained as it stands. Prints UAR and adds it to
``results/development.csv``. A finished split is not trained again.
"""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from sklearn.metrics import recall_score

from affekt.corpora.folds import Fold
from affekt.corpora.joined import corpus_of
from affekt.corpora.manifest import Manifest
from affekt.corpora.spec import FOUR
from affekt.experiments.fold import run_fold
from affekt.experiments.recipe_files import read_recipe
from affekt.experiments.runner import prepare
from affekt.runs.folder import fold_folder, manifest_of, usual_locations
from arguments import parser_of

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results/development.csv"
COLUMNS = ["changes", "seed", "split", "corpus", "enrolment", "uar"]
ENROLMENTS = ("none", "random-8", "all")
EACH = 10  # of this many training speakers one validates; nothing is chosen by it


def splits(manifest: Manifest) -> dict[str, Fold]:
    """The development splits."""
    corpora: dict[str, list[str]] = {}
    for speaker in manifest.speakers:
        corpora.setdefault(corpus_of(speaker), []).append(speaker)
    others = [s for name, of in corpora.items() if name != "cremad" for s in of]
    first = [s for of in corpora.values() for s in of[::2]]
    second = [s for of in corpora.values() for s in of[1::2]]

    def fold(number: int, train: list[str], test: list[str]) -> Fold:
        validation = sorted(train)[EACH - 1 :: EACH]
        rest = sorted(set(train) - set(validation))
        return Fold(number, tuple(rest), tuple(validation), tuple(sorted(test)))

    return {
        "half": fold(1, first, second),
        "cremad": fold(2, corpora["cremad"], corpora["ravdess"]),
        "others": fold(3, others, corpora["cremad"]),
    }


def scores(own: Path) -> Iterator[tuple[str, str, float]]:
    """Corpus, enrolment and UAR of a finished fold."""
    plain = pd.read_csv(own / "predictions.csv").assign(profile="none")
    enrolled = pd.read_csv(own / "enrolment.csv")
    table = pd.concat([plain, enrolled])
    corpus = table["speaker"].map(corpus_of)
    for (name, profile), rows in table.groupby([corpus, "profile"], sort=True):
        if profile in ENROLMENTS:
            uar = recall_score(rows["truth"], rows["predicted"], labels=FOUR, average="macro")
            yield str(name), str(profile), uar


def main() -> None:
    parser = parser_of(__doc__, data="ravdess, emovo, nemo, cremad")
    parser.add_argument("--set", action="append", default=[], metavar="KNOB=VALUE")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    recipe = read_recipe("corpora-encoder", [*given.set, f"seed={given.seed}"])
    runs = ROOT / "runs/development"
    locations = usual_locations(recipe.corpus, data=given.data, runs=runs, weights=None)
    folder = prepare(recipe, locations)
    manifest = manifest_of(folder, locations)
    rows = []
    for split, fold in splits(manifest).items():
        run_fold(recipe, folder, locations, fold)
        for corpus, profile, uar in scores(fold_folder(folder, fold)):
            rows.append((" ".join(given.set), given.seed, split, corpus, profile, f"{uar:.4f}"))
    table = pd.DataFrame(rows, columns=COLUMNS)
    print(table.to_string(index=False))
    before = [pd.read_csv(RESULTS, dtype=str, keep_default_na=False)] if RESULTS.is_file() else []
    every = pd.concat([*before, table.astype(str)])
    every = every.drop_duplicates(COLUMNS[:-1], keep="last")
    every.to_csv(RESULTS, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
