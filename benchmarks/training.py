"""Seconds of an epoch and of a fold: our loop beside the plain one, and where the time goes.

    python benchmarks/training.py

Each loop trains and validates the paper's network for an epoch of RAVDESS' first fold, in a process
of its own with one thread, all loops in turn, several rounds; the medians are printed and written
as JSON. The plain loop is the reference: float32, NCHW, the allocator as it comes, log-mels cached.
"""

import json
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from affekt.audio.windows import sliding_windows
from affekt.corpora import load
from affekt.corpora.recordings import read_samples
from affekt.corpora.splits import leave_one_speaker_out
from affekt.experiments.feature_cache import Patches, Source
from affekt.experiments.fold import clips_of, part_of, source_of
from affekt.experiments.minibatches import Inputs, shuffled
from affekt.experiments.network import start_network
from affekt.experiments.recipe import Recipe
from affekt.experiments.training import Part, keep_freed_memory, train
from affekt.model.classifier import Classifier
from affekt.model.logmel import LogMel
from affekt.runs.folder import Locations
from affekt.runs.writing import hardware, revision
from arguments import parser_of

LOOPS = ("plain", "float32", "bfloat16")
TARGET = 1.5  # times as fast as the plain loop
RECIPE = Recipe("benchmark", weights="random", epochs=1)  # weights change results, not speed
EPOCHS = Recipe("paper").epochs
TWO = "two at once"  # two float32 folds side by side, each taking half of the wait


@dataclass(frozen=True)
class Work:
    """What every loop goes through.

    Attributes:
        data: folder that holds ``ravdess/``.
        cache: folder that keeps log-mels.
        share: of the fold's clips to train and validate on.
    """

    data: Path
    cache: Path
    share: float

    def prepared(self) -> tuple[Source, Patches, Part, Part]:
        """The corpus, and what the first fold trains and validates on."""
        manifest = load("ravdess", self.data / "ravdess")
        source = source_of(RECIPE, manifest, places(self.cache))
        patches = source.patches()
        fold = leave_one_speaker_out(manifest, seed=RECIPE.seed)[0]
        training, validation = (
            part_of(manifest, clips_of(manifest, part)) for part in (fold.train, fold.validation)
        )
        return source, patches, some(training, self.share), some(validation, self.share)


def places(cache: Path) -> Locations:
    """Folders of a recipe of which only the cache is used."""
    return Locations(Path(), Path(), cache)


def some(part: Part, share: float) -> Part:
    """A share of the clips, drawn the same way every time."""
    drawn = np.random.default_rng(0).permutation(len(part.clips))
    return rows_of(part, np.sort(drawn[: round(share * len(part.clips))]))


def rows_of(part: Part, rows: NDArray[np.int64] | slice) -> Part:
    """Some rows of a part."""
    clips, truth, weights = part.clips[rows], part.truth[rows], part.weights[rows]
    return Part(clips, truth, weights, {clip: part.others[clip] for clip in clips})


def plain_loop(network: Classifier, patches: Patches, training: Part, validation: Part) -> None:
    """The reference: a plain training loop."""
    optimizer = torch.optim.Adam(network.parameters(), lr=RECIPE.learning_rate)

    def logits(clips: NDArray[np.int64]) -> torch.Tensor:
        windows, lengths = patches.gather(clips), torch.from_numpy(np.diff(patches.starts)[clips])
        steps = network.trunk.layers(windows[:, None]).mean(dim=(2, 3))[:, None]
        return network.read(steps, torch.ones_like(steps[..., 0]), lengths).flatten(1)

    network.train()
    for clips in shuffled(training.clips, RECIPE.batch, seed=(0,)):
        truth = torch.from_numpy(training.truth[np.searchsorted(training.clips, clips)])
        loss = torch.nn.functional.cross_entropy(logits(clips), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    with torch.inference_mode():
        for clips in shuffled(validation.clips, RECIPE.batch, seed=(0,)):
            logits(clips)


def network_for(source: Source) -> Classifier:
    return start_network(RECIPE, 1, source, np.arange(1), places(source.cache))


def seconds_of(loop: str, work: Work) -> float:
    """Seconds of one loop's whole epoch, warm; our own pays for checkpoints as well."""
    torch.set_num_threads(1)
    source, patches, training, validation = work.prepared()
    network = network_for(source)
    warmth = rows_of(training, slice(2 * RECIPE.batch)), rows_of(validation, slice(1))
    for parts in (warmth, (training, validation)):  # kernels are compiled, memory is taken
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            if loop == "plain":
                plain_loop(network, patches, *parts)
            else:
                options = {"recipe": RECIPE.with_(precision=loop), "seed": (RECIPE.seed, 1)}
                train(network, Inputs((patches,)), *parts, Path(folder), **options)
    return (time.perf_counter() - started) / work.share


def stages_of(work: Work) -> dict[str, float]:
    """Seconds a training batch would take in each stage, if nothing were cached."""
    torch.set_num_threads(1)
    keep_freed_memory()
    source, patches, training, _ = work.prepared()
    manifest, network, front_end = source.manifest, network_for(source).train(), LogMel()
    seconds = dict.fromkeys(("decode", "front end", "forward", "backward"), 0.0)

    def timed(stage: str, work: Callable[..., Any], *given: Any) -> Any:
        started = time.perf_counter()
        done = work(*given)
        seconds[stage] += time.perf_counter() - started
        return done

    batches = list(shuffled(training.clips, RECIPE.batch, seed=(0,)))
    for clips in batches:
        sounds = [timed("decode", read_samples, manifest, manifest.clips[c]) for c in clips]
        windows = torch.from_numpy(np.concatenate([sliding_windows(s) for s in sounds]))
        with torch.inference_mode():
            timed("front end", front_end, windows)
        truth = torch.from_numpy(training.truth[np.searchsorted(training.clips, clips)])
        encoded = timed("forward", Inputs((patches,)).encode, network, clips)
        logits = timed("forward", network.read, *encoded)
        loss = torch.nn.functional.cross_entropy(logits, truth)
        timed("backward", loss.backward)
    return {stage: whole / len(batches) for stage, whole in seconds.items()}


def alone(work: Callable[..., Any], *arguments: object, times: int = 1) -> list[Any]:
    """The results of one or more fresh processes that run at once."""
    with ProcessPoolExecutor(times, get_context("spawn")) as pool:
        return [task.result() for task in [pool.submit(work, *arguments) for _ in range(times)]]


def measured(work: Work, rounds: int) -> dict[str, Any]:
    """Everything that is reported, but for where and of what."""
    stages = alone(stages_of, work)[0]
    found: dict[str, list[float]] = {loop: [] for loop in (*LOOPS, TWO)}
    for _ in track(range(rounds), "rounds", console=Console(stderr=True)):
        for loop in LOOPS:
            found[loop] += alone(seconds_of, loop, work)
        found[TWO].append(max(alone(seconds_of, "float32", work, times=2)) / 2)
    epochs = {loop: median(seconds) for loop, seconds in found.items()}
    return {
        "loops": {
            loop: {
                "seconds_an_epoch": seconds,
                "seconds_a_fold": seconds * EPOCHS,
                "times_plain": epochs["plain"] / seconds,
            }
            for loop, seconds in epochs.items()
        },
        "seconds_a_batch": stages,
        "shares": {stage: seconds / sum(stages.values()) for stage, seconds in stages.items()},
        "speed_up_of_two_jobs": epochs["float32"] / epochs[TWO],
        "target": TARGET,
    }


def show(report: dict[str, Any]) -> None:
    """The same as tables for people."""
    table = Table("loop", "seconds an epoch", "minutes a fold", "times plain")
    for loop, row in report["loops"].items():
        minutes = row["seconds_a_fold"] / 60
        numbers = (f"{row['seconds_an_epoch']:.1f}", f"{minutes:.1f}", f"{row['times_plain']:.2f}")
        table.add_row(loop, *numbers)
    stages = Table("stage", "seconds a batch", "share")
    for stage, share in report["shares"].items():
        stages.add_row(stage, f"{report['seconds_a_batch'][stage]:.3f}", f"{share:.0%}")
    console = Console()
    console.print(table, stages)
    best = max(report["loops"][loop]["times_plain"] for loop in ("float32", "bfloat16"))
    verdict = "reached" if best >= TARGET else "missed"
    console.print(f"target of {TARGET} times the plain loop: {verdict} ({best:.2f})")


def main() -> None:
    parser = parser_of(__doc__, data="ravdess", output="results/training-speed.json")
    parser.add_argument("--share", type=float, default=1.0, help="of an epoch's clips to run")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Work(chosen.data, Path(folder), chosen.share)
        work.prepared()  # log-mels are cached before the clock runs
        report = measured(work, chosen.rounds)
    about = {"share": chosen.share, "rounds": chosen.rounds}
    report |= {**about, "hardware": hardware(), "revision": revision()}
    chosen.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    show(report)


if __name__ == "__main__":
    main()
