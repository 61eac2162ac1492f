"""Test engines: every way that a worker can end gives one line."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from affekt.engines import engine_named, local
from affekt.errors import RunError
from affekt.experiments.runner import run
from conftest import wait_until
from synthetic_corpus import make_corpus, places_in, tiny_recipe
from worker_functions import end, forked, inline, note, note_and_work, run_forever, sleep


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_every_failure_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    ends = ["well", "refuse", "hungry", "fault", "exit", "kill", "interrupt"]
    outcomes = [outcome for outcome in local(end, ends, jobs=2) if outcome is not None]
    assert {outcome.item: outcome.error for outcome in outcomes} == {
        "well": "",
        "refuse": "what must be so is not. Got this. Do that.",
        "hungry": "the program needs more memory, threads or open files. Got: MemoryError. Close "
        "other programs, raise its limits, or do fewer things at a time.",
        "fault": "KeyError: 'a fault\\nof two lines'",
        "exit": "its worker died (exit code 3); out of memory, or killed",
        "kill": "its worker died (signal 9); out of memory, or killed",
        "interrupt": "interrupted",
    }
    assert "MemoryError" not in capfd.readouterr().err  # unlike a fault, it needs no traceback


def test_items_are_taken_when_a_worker_is_free(tmp_path: Path) -> None:
    def items() -> Iterator[int]:
        for item in range(5):
            assert item - len(list(tmp_path.glob("* done"))) < 2
            yield item

    list(local(partial(note, tmp_path), items(), jobs=2))
    workers = {(tmp_path / f"{item}").read_text() for item in range(5)}
    assert len(workers) == 5


def test_closing_the_engine_ends_its_workers(tmp_path: Path) -> None:
    outcomes = local(partial(sleep, tmp_path), range(9), jobs=1)
    while not (tmp_path / "0").exists():
        assert next(outcomes) is None
    outcomes.close()
    worker = int((tmp_path / "0").read_text())
    wait_until(lambda: not alive(worker))
    assert not (tmp_path / "1").exists()


def test_workers_end_with_their_runner(tmp_path: Path) -> None:
    runner = forked(run_forever, tmp_path)
    runner.start()
    wait_until((tmp_path / "0").exists)
    worker = int((tmp_path / "0").read_text())
    assert alive(worker)
    runner.kill()
    runner.join()
    wait_until(lambda: not alive(worker))


def test_engines_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine_named("local") is local
    with pytest.raises(RunError, match="--engine must be local or ray"):
        engine_named("slurm")
    with pytest.raises(RunError, match="Got local with address head:1"):
        engine_named("local", "head:1")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RunError, match=r"Install it with: pip install 'affekt\[cluster\]'"):
        list(engine_named("ray")(end, ["well"], jobs=1))


@pytest.mark.parametrize("name", ["local", "ray"])
def test_jobs_are_at_least_one(name: str) -> None:
    with pytest.raises(RunError, match=r"jobs must be a whole number, at least 1\. Got -1\."):
        list(engine_named(name)(end, ["well"], jobs=-1))


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Ray's own sockets and processes
def test_a_cluster_that_loses_a_node(two_nodes: Any, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "ravdess", speakers=3)
    recipe = tiny_recipe()
    here, there = places_in(tmp_path / "here", corpus), places_in(tmp_path / "there", corpus)
    assert run(recipe, here, engine=inline) == ()
    nodes = {*two_nodes.worker_nodes}

    def lossy(function: Callable[[Any], None], items: Any, *, jobs: int | None) -> Any:
        work = partial(note_and_work, tmp_path, function)
        for outcome in engine_named("ray", two_nodes.address)(work, items, jobs=jobs):
            if nodes and len(list(tmp_path.glob("begun-*"))) == 2:  # both nodes are at work
                two_nodes.remove_node(nodes.pop(), allow_graceful=False)
                (tmp_path / "lost").touch()
            yield outcome

    assert run(recipe, there, engine=lossy) == ()
    assert len(list(tmp_path.glob("begun-*"))) == 4  # three folds, one of them twice
    for number in (1, 2, 3):
        one, other = (
            places.runs / recipe.run / f"fold-{number}" / "predictions.csv"
            for places in (here, there)
        )
        assert one.read_text() == other.read_text()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Ray's own sockets and processes
def test_a_closed_cluster_ends_its_workers(two_nodes: Any, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    work = partial(sleep, tmp_path)
    outcomes = engine_named("ray", two_nodes.address)(work, range(9), jobs=1)
    while not (tmp_path / "0").exists():
        assert next(outcomes) is None
    assert signal.getsignal(signal.SIGTERM) is before  # a command ends as after Ctrl-C
    outcomes.close()
    worker = int((tmp_path / "0").read_text())
    wait_until(lambda: not alive(worker))
    assert not (tmp_path / "1").exists()
