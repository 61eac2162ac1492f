"""How well a model adapted to few speakers recognizes other speakers.

    python benchmarks/finetune.py --data DATA [--cases emovo cremad] [--start cremad=FILE]

Adapts a model, as ``affekt finetune`` does, to recordings of 1, 2, 4 and 8 speakers, and tests it
on speakers that neither it nor the model it starts from was trained on. Compared with the model
before, with a head of random weights on the same encoder, and with a logistic regression on
embeddings. Writes a row for each draw of speakers to ``results/finetune.csv``, continues a file
that is there, and prints means and ranges as a table in Markdown.

No setting was chosen by these scores: those of the training are the recipe's of the shipped models,
with 20 epochs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from sklearn.metrics import recall_score

from affekt.corpora import Manifest, load
from affekt.experiments.finetuning import adapt, load_features, predict_both
from affekt.experiments.fold import part_of
from affekt.experiments.minibatches import Inputs
from affekt.experiments.network import evaluate
from affekt.model.classifier import Classifier
from affekt.model.model_file import load_with_metadata
from affekt.runs.folder import usual_locations
from affekt.sklearn import usual_classifier
from arguments import parser_of

DIVISION = 7  # seed of the division into test and training speakers
TESTED = 12  # speakers of CREMA-D
DRAWS = 3  # of speakers to learn from, for each number of them
COLUMNS = (
    *("case", "start", "method", "speakers", "draw", "clips", "enrolment", "uar", "uar_shared"),
    *("training_speakers", "test_speakers"),
)
METHODS = ("finetune", "random head", "logistic regression")
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Case:
    """A corpus that the start was not trained on, with the numbers of speakers to learn from."""

    corpus: str
    task: str
    start: str
    amounts: tuple[int, ...]


CASES = {
    "emovo": Case("emovo", "four", "affekt-open", (1, 2, 4)),
    "cremad": Case("cremad", "all", "affekt-small", (1, 2, 4, 8)),
}


def draws(case: Case, speakers: tuple[str, ...]) -> Iterator[tuple[int, int, list[str], list[str]]]:
    """Yield the number of speakers, the draw, and the speakers to learn from and to test on.

    CREMA-D has one set of test speakers. EMOVO has six speakers: each draw tests a woman and a man,
    and learns from some of the others; every speaker is tested in one draw.
    """
    order = np.random.default_rng(DIVISION).permutation(speakers)
    for draw in range(DRAWS):
        for amount in case.amounts:
            if case.corpus == "cremad":
                test, pool = np.split(order, [TESTED])
            else:
                pair = draw % 3 + 1
                test = np.array([f"emovo:f{pair}", f"emovo:m{pair}"])
                pool = np.setdiff1d(speakers, test)
            learn = np.random.default_rng([amount, draw]).choice(pool, amount, replace=False)
            yield amount, draw, sorted(map(str, learn)), sorted(map(str, test))


def rows_of(manifest: Manifest, learn: list[str], test: list[str]) -> tuple[Rows, Rows]:
    """The clips of both groups of speakers; proves that they share none."""
    who = np.array([clip.speaker for clip in manifest.clips])
    learnt, tested = np.flatnonzero(np.isin(who, learn)), np.flatnonzero(np.isin(who, test))
    shared = {*who[learnt]} & {*who[tested]}
    if shared or not len(tested):
        raise SystemExit(f"training and test must share no speaker. Got {sorted(shared)}.")
    return learnt, tested


def refuse_known(metadata: dict[str, object], test: list[str]) -> None:
    """Prove that the start was not trained on a test speaker."""
    for corpus in metadata["corpora"]:
        if known := {*corpus["speakers"], *corpus["validation_speakers"]} & {*test}:
            raise SystemExit(f"the start must not know a test speaker. It knows {min(known)}.")


def answers(
    method: str,
    network: Classifier,
    manifest: Manifest,
    inputs: Inputs,
    learnt: Rows,
    tested: Rows,
    draw: int,
) -> dict[str, NDArray[np.int64]]:
    """Predicted labels of the test clips, as rows of the manifest's labels, by enrolment."""
    if method == "before":
        own = np.array([manifest.labels.index(label) for label in network.architecture.labels])
        both = predict_both(network, manifest, inputs, tested)
        return {k: own[p.argmax(1)] for k, p in zip(("none", "all"), both, strict=True)}
    if method == "logistic regression":
        _, vectors = evaluate(network, inputs, np.concatenate([learnt, tested]))
        classifier = usual_classifier()
        classifier.fit(vectors[: len(learnt)], part_of(manifest, learnt).truth)
        return {"none": classifier.predict(vectors[len(learnt) :])}
    pretrained = method != "random head"
    adapted = adapt(network, manifest, inputs, learnt, (0, draw), pretrained=pretrained)
    both = predict_both(adapted, manifest, inputs, tested)
    return {k: p.argmax(1) for k, p in zip(("none", "all"), both, strict=True)}


def scores(
    manifest: Manifest, shared: tuple[str, ...], tested: Rows, found: NDArray[np.int64]
) -> tuple[float, float]:
    """UAR over all classes, and the mean recall of the classes that the start has."""
    truth = part_of(manifest, tested).truth
    classes = range(len(manifest.labels))
    recalls = recall_score(truth, found, labels=classes, average=None)
    return float(recalls.mean()), float(recalls[[*map(manifest.labels.index, shared)]].mean())


def measure(name: str, case: Case, data: Path, output: Path) -> None:
    """Measure one case, and append what is not in the file yet."""
    manifest = load(case.corpus, data / case.corpus, task=case.task)
    network, metadata, _ = load_with_metadata(case.start)
    planned = [*draws(case, manifest.speakers)]
    cache = usual_locations(case.corpus, data=data, runs=Path(), weights=None).cache
    inputs = load_features(network, manifest, cache)
    shared = network.architecture.labels
    before = pd.read_csv(output, dtype=str) if output.is_file() else pd.DataFrame(columns=COLUMNS)
    done = {*before[[*COLUMNS[:5]]].itertuples(index=False, name=None)}
    # the model before is the same in all draws with the same test speakers
    tests = {tuple(test): (draw, [], test) for _, draw, _, test in reversed(planned)}
    todo = [
        *(("before", 0, *each) for each in tests.values()),
        *((method, *each) for each in planned for method in METHODS),
    ]
    console = Console(stderr=True)
    for method, amount, draw, learn, test in track(todo, name, console=console):
        key = (name, Path(case.start).stem, method, str(amount), str(draw))
        if key in done:
            continue
        refuse_known(metadata, [*learn, *test])
        learnt, tested = rows_of(manifest, learn, test)
        found = answers(method, network, manifest, inputs, learnt, tested, draw)
        who = ["+".join(learn), "+".join(test)]
        rows = [
            (*key, len(learnt), enrolment, *scores(manifest, shared, tested, each), *who)
            for enrolment, each in found.items()
        ]
        text = pd.DataFrame(rows, columns=COLUMNS).to_csv(
            index=False, header=not output.is_file(), float_format="%.4f", lineterminator="\n"
        )
        with output.open("a", encoding="utf-8", newline="") as file:
            file.write(text)


def table(path: Path) -> str:
    """Means and ranges over draws, in Markdown."""
    lines = [
        "| corpus | start | speakers | method | enrolment | UAR | known classes |",
        "| --- " * 7 + "|",
    ]
    found = pd.read_csv(path)
    for key, group in found.groupby(
        ["case", "start", "speakers", "method", "enrolment"], sort=False
    ):
        cells = [
            f"{group[s].mean():.3f} ({group[s].min():.3f} to {group[s].max():.3f})"
            for s in ("uar", "uar_shared")
        ]
        lines.append(f"| {' | '.join(map(str, (*key, *cells)))} |")
    return "\n".join(lines)


def main() -> None:
    parser = parser_of(__doc__, data="emovo, cremad", output="results/finetune.csv")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=[*CASES])
    parser.add_argument("--start", default="", help="CASE=FILE: another model to start from")
    options = parser.parse_args()
    torch.set_num_threads(1)
    case_of, _, file = options.start.partition("=")
    cases = CASES | ({case_of: replace(CASES[case_of], start=file)} if file else {})
    for name in options.cases:
        measure(name, cases[name], options.data, options.output)
    print(table(options.output))


if __name__ == "__main__":
    main()
