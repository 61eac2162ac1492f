"""Measure what a recurrent network reads from the order of windows.

    python benchmarks/window_order.py RUN... --data DATA

RUN is the folder of a run on RAVDESS with its trained networks; DATA holds ravdess. Each network
recognizes the test clips of its fold with their windows in order, in reversed order, and in random
orders. Writes ``results/window-order.csv``: UAR, and the difference to the windows in order, paired
by speaker, with its 95 % interval (with fewer than 8 speakers, its range) and p value.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.progress import track

from affekt.audio.windows import sliding_windows
from affekt.corpora import load
from affekt.corpora.manifest import Manifest
from affekt.corpora.recordings import read_samples
from affekt.evaluation.comparison import compare
from affekt.evaluation.intervals import shown_uar
from affekt.evaluation.metrics import tally
from affekt.model.classifier import load_classifier
from arguments import parser_of, save

DRAWS = 20  # random orders of each clip


def orders(windows: int, generator: np.random.Generator) -> list[tuple[str, NDArray[np.int64]]]:
    """The orders of a clip's windows, each with its name."""
    given = np.arange(windows)
    drawn = [("shuffled", generator.permutation(windows)) for _ in range(DRAWS)]
    return [("in order", given), ("reversed", given[::-1].copy()), *drawn]


@torch.inference_mode()
def predictions(fold: Path, manifest: Manifest) -> pd.DataFrame:
    """Predict the test clips of a fold in all orders: a row for each clip and order."""
    network, _ = load_classifier(fold / "model.pt")
    a = network.architecture
    facts = json.loads((fold / "result.json").read_text(encoding="utf-8"))
    generator = np.random.default_rng(facts["fold"])
    archived = pd.read_csv(fold / "predictions.csv").set_index("file")["predicted"]
    rows = []
    for name, clip in zip(manifest.names, manifest.clips, strict=True):
        if clip.speaker not in facts["test_speakers"]:
            continue
        samples = read_samples(manifest, clip)
        windows = sliding_windows(samples, hop=a.hop, last_window=a.last_window)
        inputs = network.front_end(torch.tensor(windows))
        steps, shares = network.trunk(inputs), network.shares(inputs)
        named = orders(len(windows), generator)
        order = torch.tensor(np.concatenate([each for _, each in named]))
        lengths = torch.full((len(named),), len(windows))
        found = network.read(steps[order], shares[order], lengths).argmax(1).tolist()
        assert a.labels[found[0]] == archived[name], name
        who = {"speaker": clip.speaker, "file": name, "truth": clip.label}
        for draw, ((kind, _), label) in enumerate(zip(named, found, strict=True)):
            rows.append({"order": kind, "seed": draw, **who, "predicted": a.labels[label]})
    return pd.DataFrame(rows)


def compared(recipe: str, seed: int, table: pd.DataFrame, labels: tuple[str, ...]) -> pd.DataFrame:
    """Compare each order with the windows in order; each random order counts as a seed."""
    in_order = table[table["order"] == "in order"]
    reference, labelled = tally(in_order, labels), in_order.set_index("file")["predicted"]
    rows = []
    for order, part in table.groupby("order", sort=False):
        counts = tally(part, labels)
        found = compare(counts, reference)
        rows.append(
            {
                "recipe": recipe,
                "seed": seed,
                "clips": part["file"].nunique(),
                "speakers": part["speaker"].nunique(),
                "order": order,
                "uar": shown_uar(counts).value,
                **found.shown.columns("difference"),
                "p": found.p,
                "changed": (part["predicted"] != part["file"].map(labelled)).mean(),
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Measure, print and write the table."""
    parser = parser_of(__doc__, data="ravdess", output="results/window-order.csv")
    parser.add_argument("run", type=Path, nargs="+")
    given = parser.parse_args()
    torch.set_num_threads(1)
    manifest = load("ravdess", given.data / "ravdess")
    tables = []
    for run in given.run:
        folds = sorted(done.parent for done in run.glob("fold-*/predictions.csv"))
        answers = pd.concat([predictions(fold, manifest) for fold in track(folds, run.name)])
        facts = json.loads((folds[0] / "result.json").read_text(encoding="utf-8"))
        tables.append(compared(facts["recipe"], facts["seed"], answers, manifest.labels))
    save(pd.concat(tables).round(4), given.output)


if __name__ == "__main__":
    main()
