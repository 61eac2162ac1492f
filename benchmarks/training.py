"""Training steps per second: our loop beside the plain one, and where the time goes.

    python benchmarks/training.py

Each loop trains the paper's network on the same batches of RAVDESS, in a process of its own with
one thread, all loops in turn, several rounds; the medians are printed and written as JSON. The
plain loop is the yardstick: float32, NCHW, the allocator as it comes, log-mels cached.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from affekt.audio.windows import WINDOW_HOP, sliding_windows
from affekt.corpora import Manifest, load
from affekt.experiments.batches import Patches, load_patches, read_samples, shuffled
from affekt.experiments.fold import part_of
from affekt.experiments.network import start_network
from affekt.experiments.recipe import Recipe
from affekt.experiments.records import hardware, revision
from affekt.experiments.run_folder import Places
from affekt.experiments.training import Part, keep_freed_memory, train
from affekt.model.classifier import Classifier
from affekt.model.logmel import LogMel

LOOPS = ("plain", "float32", "bfloat16")
TARGET = 1.5  # times the plain loop's steps per second
RECIPE = Recipe("benchmark", weights="random", epochs=1)  # weights change results, not speed


def plain_loop(network: Classifier, patches: Patches, part: Part) -> None:
    """The yardstick: what one writes first."""
    optimizer = torch.optim.Adam(network.parameters(), lr=RECIPE.learning_rate)
    network.train()
    for clips in shuffled(part.clips, RECIPE.batch, seed=(0,)):
        windows, lengths = patches.gather(clips)
        embeddings = network.trunk.layers(windows[:, None]).mean(dim=(2, 3))
        logits = network.read(embeddings, lengths)
        truth = torch.from_numpy(part.truth[np.searchsorted(part.clips, clips)])
        loss = torch.nn.functional.cross_entropy(logits, truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def prepared(data: Path, cache: Path, steps: int) -> tuple[Manifest, Patches, Part, Part]:
    """The corpus, ``steps`` batches to learn from, and a clip to validate on."""
    manifest = load("ravdess", data / "ravdess")
    patches = load_patches(manifest, cache, front_end="magnitude", hop=WINDOW_HOP)
    everybody = part_of(manifest, manifest.speakers)
    drawn = np.random.default_rng(0).permutation(everybody.clips)
    chosen = np.sort(drawn[: steps * RECIPE.batch])
    return (
        manifest,
        patches,
        Part(chosen, everybody.truth[chosen]),
        Part(drawn[-1:], everybody.truth[drawn[-1:]]),
    )


def network_for(manifest: Manifest, patches: Patches) -> Classifier:
    nowhere = Places(Path(), Path(), Path())
    return start_network(RECIPE, manifest.labels, 1, patches, np.arange(1), nowhere)


def speed(loop: str, data: Path, cache: Path, steps: int) -> float:
    """Steps per second of one loop, warm; our own pays for validation and checkpoint as well."""
    torch.set_num_threads(1)
    manifest, patches, training, validation = prepared(data, cache, steps)
    network = network_for(manifest, patches)
    first = slice(2 * RECIPE.batch)  # warms up: kernels are compiled, memory is taken
    for part in (Part(training.clips[first], training.truth[first]), training):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            if loop == "plain":
                plain_loop(network, patches, part)
            else:
                recipe = RECIPE.with_(precision=loop)
                train(network, patches, part, validation, Path(folder), recipe=recipe, fold=1)
    return steps / (time.perf_counter() - started)


def shares(data: Path, cache: Path, steps: int) -> dict[str, float]:
    """Seconds a batch would take in each stage, if nothing were cached."""
    torch.set_num_threads(1)
    keep_freed_memory()
    manifest, patches, training, _ = prepared(data, cache, steps)
    network, front_end = network_for(manifest, patches).train(), LogMel()
    seconds = dict.fromkeys(("decode", "front end", "forward", "backward"), 0.0)

    def timed(stage: str, work: Callable[..., Any], *given: Any) -> Any:
        started = time.perf_counter()
        done = work(*given)
        seconds[stage] += (time.perf_counter() - started) / steps
        return done

    for clips in shuffled(training.clips, RECIPE.batch, seed=(0,)):
        sounds = [timed("decode", read_samples, manifest, manifest.clips[c]) for c in clips]
        windows = torch.from_numpy(np.concatenate([sliding_windows(s) for s in sounds]))
        with torch.inference_mode():
            timed("front end", front_end, windows)
        truth = torch.from_numpy(training.truth[np.searchsorted(training.clips, clips)])
        logits = timed("forward", network, *patches.gather(clips))
        loss = torch.nn.functional.cross_entropy(logits, truth)
        timed("backward", loss.backward)
    return seconds


def alone(work: Callable[..., Any], *arguments: object, times: int = 1) -> list[Any]:
    """The results of one or more fresh processes that run at once."""
    with ProcessPoolExecutor(times, get_context("spawn")) as pool:
        return [task.result() for task in [pool.submit(work, *arguments) for _ in range(times)]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("AFFEKT_DATA"))
    parser.add_argument("--steps", type=int, default=10, help="batches a loop")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, default=Path("results/training-speed.json"))
    chosen = parser.parse_args()
    if chosen.data is None:
        parser.error("say where the recordings are: --data, or AFFEKT_DATA")
    with tempfile.TemporaryDirectory() as folder:
        where = (chosen.data, Path(folder), chosen.steps)
        prepared(*where)
        stages = alone(shares, *where)[0]
        found: dict[str, list[float]] = {loop: [] for loop in (*LOOPS, "two at once")}
        for _ in track(range(chosen.rounds), "rounds", console=Console(stderr=True)):
            for loop in LOOPS:
                found[loop] += alone(speed, loop, *where)
            found["two at once"].append(sum(alone(speed, "float32", *where, times=2)))
    plain = median(found["plain"])
    rows = {
        loop: {"steps_per_second": median(values), "times_plain": median(values) / plain}
        for loop, values in found.items()
    }
    whole = sum(stages.values())
    report = {
        "loops": rows,
        "seconds_a_batch": stages,
        "shares": {stage: seconds / whole for stage, seconds in stages.items()},
        "speed_up_of_two_jobs": median(found["two at once"]) / median(found["float32"]),
        "target": TARGET,
        "steps": chosen.steps,
        "rounds": chosen.rounds,
        "hardware": hardware(),
        "revision": revision(),
    }
    chosen.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    table = Table("loop", "steps/s", "times plain")
    for loop, row in rows.items():
        table.add_row(loop, f"{row['steps_per_second']:.3f}", f"{row['times_plain']:.2f}")
    stage_table = Table("stage", "seconds a batch", "share")
    for stage, seconds in stages.items():
        stage_table.add_row(stage, f"{seconds:.3f}", f"{seconds / whole:.0%}")
    console = Console()
    console.print(table, stage_table)
    ratio = max(rows["float32"]["times_plain"], rows["bfloat16"]["times_plain"])
    verdict = "reached" if ratio >= TARGET else "missed"
    console.print(f"target of {TARGET} times the plain loop: {verdict} ({ratio:.2f})")


if __name__ == "__main__":
    main()
