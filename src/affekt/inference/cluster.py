"""Predict batches of files on a cluster.

Every node needs affekt, and the model and recordings under the same paths.
"""

import os
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

from affekt.engines import Engine, Outcome
from affekt.inference.files import Failure, find_files, predicted
from affekt.inference.prediction import Prediction
from affekt.inference.predictor import Predictor
from affekt.inference.shipped_models import load_same, reference

BATCH = 64  # files at most: a second or two of work
SHARE = 64  # a batch has 1/64 of the files before it, so that few files use many nodes too

Files = tuple[str | Failure, ...]
Results = list[Prediction | Failure]


def predict_on(
    engine: Engine,
    predictor: Predictor,
    paths: Sequence[str],
    *,
    jobs: int | None = None,
    skip: Container[str] = (),
) -> Iterator[Prediction | Failure]:
    """Predict many recordings on a cluster, whose nodes load the predictor's model themselves.

    Paths are as for :func:`affekt.inference.files.predict_files`, but not ``-``; results come as
    batches end. A file that ends its worker affects no other file. By default, each of the
    cluster's CPUs has one job.

    Raises:
        RunError: the cluster cannot be reached.
    """
    work = batch_predictor(predictor)
    lost: list[str | Failure] = []
    with closing(engine(work, batches(find_files(paths, skip=skip)), jobs=jobs)) as outcomes:
        for outcome in outcomes:
            if outcome and outcome.error and len(outcome.item) > 1:
                lost += outcome.item
            elif outcome:
                yield from _results(outcome)
    if lost:
        alone: Iterator[Files] = ((file,) for file in lost)
        with closing(engine(work, alone, jobs=jobs)) as outcomes:
            yield from chain.from_iterable(map(_results, filter(None, outcomes)))


def batches(files: Iterable[str | Failure]) -> Iterator[Files]:
    """Cut files into batches that grow with the number of files so far, up to ``BATCH``.

    >>> [len(batch) for batch in batches(map(str, range(70)))][-4:]
    [1, 2, 2, 2]
    """
    files, taken = iter(files), 0
    while batch := tuple(islice(files, min(BATCH, 1 + taken // SHARE))):
        taken += len(batch)
        yield batch


def batch_predictor(predictor: Predictor) -> Callable[[Files], Results]:
    """Make a function that a worker can call to predict a batch as this predictor does."""
    options = {name: value for name, value in vars(predictor).items() if name != "graph"}
    return partial(_predict_batch, reference(predictor.graph), options, Path.cwd())


def _predict_batch(
    model: tuple[str, str, int], options: dict[str, Any], folder: Path, files: Files
) -> Results:
    """Predict one batch; relative names are below the folder."""
    with suppress(OSError):  # missing on this node: each relative name fails by itself
        os.chdir(folder)
    predictor = Predictor(load_same(*model), **options)
    return [predicted(predictor, file) for file in files]


def _results(outcome: Outcome[Files]) -> Iterator[Prediction | Failure]:
    if not outcome.error:
        yield from outcome.made
        return
    for file in outcome.item:
        name = file.file if isinstance(file, Failure) else file
        yield Failure(name, f"{name} has no result: {outcome.error}.")
