"""Measure what neutral enrolment clips are worth, beside random ones.

    python benchmarks/neutral_clips.py RUN --data DATA

RUN is the folder of a run of ``cross-corpus-encoder`` with its trained networks; DATA holds the
four corpora. Each network predicts the clips of the corpus it was not trained on, after enrolment
with 1 to 16 neutral or random other clips of the speaker. A number is left out where a speaker has
fewer neutral clips. Writes ``results/neutral-clips.csv``: UAR by corpus and enrolment.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.progress import track
from sklearn.metrics import recall_score

from affekt.corpora import load
from affekt.experiments.finetuning import load_features
from affekt.experiments.minibatches import predict
from affekt.experiments.profiles import profile_of, same_speaker, stacked
from affekt.model.classifier import load_classifier
from affekt.runs.folder import usual_locations
from arguments import parser_of

AMOUNTS = (1, 2, 3, 4, 8, 16)
Pools = dict[int, NDArray[np.int64]]


def conditions(labels: NDArray[np.str_], pools: Pools) -> Iterator[tuple[str, int, Pools]]:
    """The emotion of the enrolment clips, their number, and what they are drawn from."""
    neutral = {row: pool[labels[pool] == "neutral"] for row, pool in pools.items()}
    yield "none", 0, pools
    for kind, pool_of in (("neutral", neutral), ("random", pools)):
        for amount in AMOUNTS:
            if amount <= min(map(len, pool_of.values())):
                yield kind, amount, pool_of


@torch.inference_mode()
def measure(fold: Path, data: Path) -> Iterator[dict[str, object]]:
    """A row for each condition of the corpus that a fold tests."""
    network, _ = load_classifier(fold / "model.pt")
    facts = json.loads((fold / "result.json").read_text(encoding="utf-8"))
    corpus = facts["test_speakers"][0].partition(":")[0]
    manifest = load(corpus, data / corpus, partial=True)
    cache = usual_locations(corpus, data=data, runs=Path(), weights=None).cache
    inputs = load_features(network, manifest, cache)
    rows = np.arange(len(manifest.clips))
    labels = np.array([clip.label for clip in manifest.clips])
    pools = same_speaker(manifest, rows)
    for kind, amount, pool_of in conditions(labels, pools):
        generator = np.random.default_rng([facts["seed"], amount, *kind.encode()])
        chosen = [generator.choice(pool_of[row], amount, replace=False) for row in rows.tolist()]
        profiles = stacked(profile_of(inputs.features[0], clips) for clips in chosen)
        found = predict(network, inputs, rows, profiles=profiles).argmax(1).tolist()
        of_network = network.architecture.labels
        predicted = [of_network[label] for label in found]
        uar = recall_score(labels, predicted, labels=of_network, average="macro")
        yield {"corpus": corpus, "enrolment": kind, "clips": amount, "uar": round(uar, 4)}


def main() -> None:
    """Measure, write and print the table."""
    parser = parser_of(__doc__, data="the four corpora", output="results/neutral-clips.csv")
    parser.add_argument("run", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    folds = sorted(done.parent for done in given.run.glob("fold-*/model.pt"))
    found = pd.DataFrame([row for fold in track(folds) for row in measure(fold, given.data)])
    found.to_csv(given.output, index=False, lineterminator="\n")
    print(found.pivot_table(index=["enrolment", "clips"], columns="corpus", values="uar"))


if __name__ == "__main__":
    main()
