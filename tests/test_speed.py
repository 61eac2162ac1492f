"""Test that the speed benchmark runs and measures what its labels say."""

import json
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from affekt.inference.shipped_models import DEFAULT_MODEL

KEYS = {
    "audio_hours_per_core_hour",
    "cold_start_ratio",
    "latency_p50_share",
    "latency_p99_share",
    "memory_ratio",
    "two_core_speedup",
}
FACTS = {"date", "machine", "versions", "graphs_alone"}
RESULTS = Path(__file__).parents[1] / "results" / "bench.json"


@pytest.fixture
def speed() -> ModuleType:
    return import_module("speed")


def test_all_figures_are_measured_in_one_run(
    speed: ModuleType, weights: Path, tmp_path: Path
) -> None:
    speed.main(["--quick", "--weights", str(weights.parent), "-o", str(tmp_path / "bench.json")])
    bench = json.loads((tmp_path / "bench.json").read_text())
    assert bench.keys() - FACTS == KEYS
    assert len(bench["graphs_alone"]) == 4
    assert all(hours > 1 for hours in bench["graphs_alone"].values())
    assert bench["versions"]["model"] == DEFAULT_MODEL
    assert all(bench[key] > 0 for key in KEYS)
    assert bench["latency_p50_share"] <= bench["latency_p99_share"]
    assert bench["memory_ratio"] > 0.9
    drawn = import_module("speed_figure").picture(bench)
    names = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
    assert names == [target.what for target in speed.TARGETS.values()]


def test_the_figures_kept_are_of_the_shipped_model() -> None:
    kept = json.loads(RESULTS.read_text())
    assert kept.keys() - FACTS == KEYS
    assert kept["versions"]["model"] == DEFAULT_MODEL


def test_the_median_counts_only_warm_rounds(speed: ModuleType) -> None:
    instants = iter([0, 100, 0, 100, 0, 3, 0, 5, 0, 1, 0, 4, 0, 2, 0, 9])
    works = {"ours": lambda: None, "theirs": lambda: None}
    found = speed.in_turn(works, 3, lambda: float(next(instants)))
    assert found == {"ours": 2, "theirs": 5}


@pytest.mark.parametrize(
    ("key", "levels"),
    [
        ("audio_hours_per_core_hour", {89: "no", 90: "must", 299: "must", 300: "goal"}),
        ("latency_p50_share", {0.021: "no", 0.02: "must", 0.006: "must", 0.005: "goal"}),
    ],
)
def test_a_target_is_reached_from_its_better_side(
    speed: ModuleType, key: str, levels: dict[float, str]
) -> None:
    assert {value: speed.TARGETS[key].reached(value) for value in levels} == levels


def test_a_command_holds_what_it_needs_not_what_its_caller_does(speed: ModuleType) -> None:
    ballast = b"x" * (300 << 20)
    kilobytes = speed.peak([speed.sys.executable, "-c", "x = b'x' * (50 << 20)"])
    assert 50 << 10 < kilobytes < 150 << 10
    assert len(ballast) == 300 << 20
