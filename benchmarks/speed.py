"""Six figures of speed and memory, each beside what it must reach and what it should.

    python benchmarks/speed.py
    python benchmarks/speed.py --model yamnet-lstm --quick -o quick.json

All of it runs here and now, on made-up sound: one thread unless said, warm, what is compared in
turn, the median of five rounds or more (memory, which hardly varies: one long recording). Work is
counted in seconds of the processor, so that what else runs disturbs little; a start, a latency and
the speed-up of two cores are seconds of the clock.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import soundfile
from ai_edge_litert.interpreter import Interpreter
from rich.console import Console
from rich.table import Table

import affekt
from affekt.audio.windows import SAMPLE_RATE, WINDOW, sliding_windows
from affekt.inference.predictor import Predictor
from affekt.inference.speech.vad import ChunkDetector
from affekt.inference.stream import BATCH
from affekt.model.pretrained import TURN_DETECTOR, find
from affekt.runs.writing import hardware
from arguments import parser_of

RATE = 48_000  # Hz of recordings, as RAVDESS' are
LIBRARIES = ("affekt", "numpy", "onnxruntime", "soundfile", "soxr", "ai-edge-litert")


class Target(NamedTuple):
    """What is measured, and what it must and should reach."""

    what: str
    must: float
    goal: float
    more: bool
    """Whether more is better."""
    form: str

    def reached(self, value: float) -> str:
        """In a word."""
        sign = 1 if self.more else -1
        levels = {"goal": self.goal, "must": self.must}
        return next((name for name, level in levels.items() if sign * (value - level) >= 0), "no")


TARGETS = {
    "audio_hours_per_core_hour": Target("hours of sound a core-hour", 90, 300, True, "{:.0f}"),
    "cold_start_ratio": Target("cold start, times importing NumPy", 8, 4, False, "{:.2f}"),
    "latency_p50_share": Target("latency, median share of the hop", 0.02, 0.005, False, "{:.2%}"),
    "latency_p99_share": Target("latency, 99 % share of the hop", 0.02, 0.01, False, "{:.2%}"),
    "memory_ratio": Target("memory, 4 hours over 3 seconds", 1.3, 1.1, False, "{:.2f}"),
    "two_core_speedup": Target("1,000 files, 2 cores over 1", 1.8, 1.95, True, "{:.2f}"),
}


@dataclass(frozen=True)
class Amount:
    """How much is measured."""

    rounds: int = 7
    windows: int = 200  # a round
    seconds: int = 600  # of the recording whose hours are counted
    long_seconds: int = 4 * 3_600
    files: int = 1_000


QUICK = Amount(rounds=1, windows=16, seconds=10, long_seconds=60, files=8)


def voice(seconds: float, rate: int = SAMPLE_RATE) -> np.ndarray:
    """Something like a voice: harmonics of a moving pitch in bursts, and a little noise."""
    instants = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * (150 * instants + 20 * np.sin(2 * np.pi * 0.4 * instants))
    tones = sum(np.sin(k * phase) / k for k in range(1, 12))
    noise = np.random.default_rng(0).normal(size=instants.size)
    loud = np.abs(np.sin(2 * np.pi * instants)) ** 2
    return (0.05 * (tones * loud + 0.1 * noise)).astype(np.float32)


def record(file: Path, seconds: float, rate: int) -> Path:
    """Write a recording of 16 bits, ten seconds of voice over and over."""
    part = voice(min(10, seconds), rate)
    with soundfile.SoundFile(file, "w", rate, 1, "PCM_16") as sound:
        for start in range(0, round(seconds * rate), len(part)):
            sound.write(part[: round(seconds * rate) - start])
    return file


def official(weights: Path | None) -> Callable[[np.ndarray], None]:
    """The reference: Google's own int8 graph, one window at a time."""
    file = find("yamnet.tflite", weights)
    with warnings.catch_warnings():  # of a name that is to change
        warnings.simplefilter("ignore")
        graph = Interpreter(str(file), num_threads=1)
    graph.allocate_tensors()
    place = graph.get_input_details()[0]["index"]

    def answer(windows: np.ndarray) -> None:
        for window in windows:
            graph.set_tensor(place, window)
            graph.invoke()

    return answer


def in_turn(
    works: dict[str, Callable[[], Any]], rounds: int, clock: Callable[[], float]
) -> dict[str, float]:
    """The median seconds of each, after each has run once to warm up."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            started = clock()
            work()
            seconds = clock() - started
            if number:
                taken[name].append(seconds)
    return {name: median(seconds) for name, seconds in taken.items()}


def encoder(weights: Path | None) -> Callable[[], None]:
    """The whole encoder of Whisper-tiny in int8, with a turn detector, on eight seconds."""
    file = find(TURN_DETECTOR, weights)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    mels = np.random.default_rng(0).normal(size=(1, 80, 800)).astype(np.float32)

    def answer() -> None:
        session.run(None, {"input_features": mels})

    return answer


def graphs(predictor: Predictor, weights: Path | None, amount: Amount) -> dict[str, float]:
    """Hours of sound that each graph alone handles in an hour of one core, in turn."""
    graph, yamnet, whisper = predictor.graph, official(weights), encoder(weights)
    seconds = amount.windows
    sound = voice(seconds)
    windows = sliding_windows(sound, hop=graph.hop)
    apart = sliding_windows(sound, hop=WINDOW)

    def ours() -> None:
        state = graph.start
        for first in range(0, len(windows), BATCH):
            _, state = graph.run(windows[first : first + BATCH], state)

    works = {
        graph.metadata["name"]: ours,
        "YAMNet of Google, int8": lambda: yamnet(apart),
        "Whisper-tiny's encoder, int8": lambda: [whisper() for _ in range(seconds // 8)],
        "Silero VAD": lambda: list(ChunkDetector().push(sound)),
    }
    taken = in_turn(works, amount.rounds, time.process_time)
    return {name: seconds / each for name, each in taken.items()}


def hours_per_hour(predictor: Predictor, folder: Path, amount: Amount) -> float:
    """Hours of a 48 kHz FLAC that one hour of one core answers, decoding and all."""
    file = record(folder / "recording.flac", amount.seconds, RATE)
    works = {"predict": lambda: predictor.predict(file)}
    return amount.seconds / in_turn(works, amount.rounds, time.process_time)["predict"]


def latencies(predictor: Predictor, amount: Amount) -> tuple[float, float]:
    """From a window's last sample to its answer, as shares of the hop: median, and 99 of 100."""
    hop = predictor.graph.hop
    sound = voice(amount.windows * hop / SAMPLE_RATE)
    middle, late = [], []
    for _ in range(amount.rounds + 1):
        stream, shares = predictor.stream(), []
        for chunk in np.split(sound, range(hop, len(sound), hop)):
            started = time.perf_counter()
            if stream.push(chunk):
                shares.append((time.perf_counter() - started) * SAMPLE_RATE / hop)
        middle.append(float(np.quantile(shares, 0.5)))
        late.append(float(np.quantile(shares, 0.99)))
    return median(middle[1:]), median(late[1:])


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "affekt", "predict", *map(str, words)]


def run(words: list[str]) -> None:
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def cold_start(options: list[str], folder: Path, amount: Amount) -> float:
    """``affekt predict`` of a WAV of three seconds, over importing NumPy."""
    words = command(record(folder / "short.wav", 3, RATE), *options)
    works = {
        "predict": lambda: run(words),
        "numpy": lambda: run([sys.executable, "-c", "import numpy"]),
    }
    taken = in_turn(works, 3 * amount.rounds, time.perf_counter)
    return taken["predict"] / taken["numpy"]


def peak(words: list[str]) -> int:
    """The most memory that a command held; asked by a small process, whose own is no part of it."""
    ask = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    answer = subprocess.run([sys.executable, "-c", ask, *words], check=True, capture_output=True)
    return int(answer.stdout)


def memory(options: list[str], folder: Path, amount: Amount) -> float:
    """The peak of a recording of four hours over that of one of three seconds."""
    short = record(folder / "short.flac", 3, SAMPLE_RATE)
    long = record(folder / "long.flac", amount.long_seconds, SAMPLE_RATE)
    usual = median(peak(command(short, *options)) for _ in range(amount.rounds))
    return peak(command(long, *options)) / usual


def two_cores(options: list[str], folder: Path, amount: Amount) -> float:
    """A folder of recordings, one at a time over two at a time."""
    first = record(folder / "0.flac", 3, RATE)
    for number in range(1, amount.files):
        os.link(first, folder / f"{number}.flac")
    jobs = {n: command(folder, "--jobs", n, "--json", *options) for n in ("1", "2")}
    works = {number: (lambda words=words: run(words)) for number, words in jobs.items()}
    taken = in_turn(works, amount.rounds, time.perf_counter)
    return taken["1"] / taken["2"]


def measured(model: str | None, amount: Amount) -> Iterator[dict[str, float]]:
    """One figure after the other, so that one can be shown while the next is made."""
    predictor = affekt.load(model)
    options = ["--model", model] if model else []
    with tempfile.TemporaryDirectory() as folder:
        yield {"audio_hours_per_core_hour": hours_per_hour(predictor, Path(folder), amount)}
        yield {"cold_start_ratio": cold_start(options, Path(folder), amount)}
        p50, p99 = latencies(predictor, amount)
        yield {"latency_p50_share": p50, "latency_p99_share": p99}
        yield {"memory_ratio": memory(options, Path(folder), amount)}
    with tempfile.TemporaryDirectory() as folder:
        yield {"two_core_speedup": two_cores(options, Path(folder), amount)}


def main(arguments: list[str] | None = None) -> None:
    parser = parser_of(__doc__, output="results/bench.json")
    parser.add_argument("--model", help="model file, or name of a shipped one")
    parser.add_argument("--weights", type=Path, help="folder of the pretrained weights")
    parser.add_argument("--quick", action="store_true", help="only see that it runs")
    chosen = parser.parse_args(arguments)
    console = Console()
    amount = QUICK if chosen.quick else Amount()
    found: dict[str, float] = {}
    with console.status("measuring"):
        alone = graphs(affekt.load(chosen.model), chosen.weights, amount)
        for figures in measured(chosen.model, amount):
            found |= figures
            for key, value in figures.items():
                console.print(f"{TARGETS[key].what}: {TARGETS[key].form.format(value)}")
    graph = affekt.load(chosen.model).graph
    versions = {"python": platform.python_version(), **{each: version(each) for each in LIBRARIES}}
    report = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": hardware(),
        "versions": {"model": graph.metadata["name"], **versions},
        **{key: float(f"{found[key]:.4g}") for key in TARGETS},
        "graphs_alone": {name: float(f"{hours:.4g}") for name, hours in alone.items()},
    }
    chosen.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    table = Table("", "measured", "must", "goal", "reached")
    for key, target in TARGETS.items():
        values = (target.form.format(value) for value in (found[key], target.must, target.goal))
        table.add_row(target.what, *values, target.reached(found[key]))
    console.print(table)
    table = Table("graph alone", "hours of sound a core-hour")
    for name, hours in alone.items():
        table.add_row(name, f"{hours:,.0f}")
    console.print(table)


if __name__ == "__main__":
    main()
