"""Compare the answers of one model to the same clips as files, as streams, and by the service."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from urllib.request import ProxyHandler, Request, build_opener

import numpy as np
import pandas as pd

from affekt.audio.windows import SAMPLE_RATE
from affekt.audit.answers import Chosen
from affekt.audit.recognizers import Sound, written
from affekt.inference.predictor import Predictor

LARGEST = 1e-3  # difference between probabilities that passes
HALVES = np.array([0.5, 1.5], np.float32)  # gains of two channels, whose mean is the sound
PROGRAM = (sys.executable, "-m", "affekt")
DIRECT = build_opener(ProxyHandler({}))  # a proxy cannot reach a service of this machine


def consistency(predictor: Predictor, chosen: Sequence[Chosen], seed: int) -> pd.DataFrame:
    """Compare the probabilities of each way with those of the samples.

    Args:
        chosen: clips to compare, of which the first 30 s are used.
        seed: draws the chunks of the stream.

    Returns:
        A row for each way: ``way``, ``clips``, ``difference`` (the largest between
        probabilities), ``passed``. The service needs the extra ``serve``, and is left out without.
    """
    sounds = [each.read()[: 30 * SAMPLE_RATE] for each in chosen]
    wanted = [predictor.predict(s, sample_rate=SAMPLE_RATE).probabilities for s in sounds]
    given = {
        "file": _of_files(predictor, sounds),
        "two channels": _of_files(predictor, [np.outer(x, HALVES) for x in sounds]),
        "channels swapped": _of_files(predictor, [np.outer(x, HALVES[::-1]) for x in sounds]),
        "stream, random chunks": [_streamed(predictor, sound, seed) for sound in sounds],
    }
    with written(sounds) as paths, _service(predictor) as ask:
        if ask:
            given["service"] = [ask(path) for path in paths]
    rows = []
    for way, answers in given.items():
        pairs = zip(wanted, answers, strict=True)
        gap = max(abs(share - answer[label]) for w, answer in pairs for label, share in w.items())
        row = {"way": way, "clips": len(sounds), "difference": gap, "passed": gap <= LARGEST}
        rows.append(row)
    return pd.DataFrame(rows)


def _of_files(predictor: Predictor, sounds: Sequence[Sound]) -> list[dict[str, float]]:
    with written(sounds) as paths:
        return [dict(predictor.predict(path).probabilities) for path in paths]


def _streamed(predictor: Predictor, sound: Sound, seed: int) -> dict[str, float]:
    stream, generator = predictor.stream(), np.random.default_rng(seed)
    chunks = np.split(sound, np.sort(generator.integers(sound.size, size=20)))
    segments = [segment for chunk in chunks for segment in stream.push(chunk)]
    return dict([*segments, *stream.flush()][-1].probabilities)


@contextmanager
def _service(predictor: Predictor) -> Iterator[Callable[[str], dict[str, float]] | None]:
    """Start ``affekt serve``, and upload recordings to it; None if it does not start."""
    words = [*PROGRAM, "serve", "--port", "0", "--model", str(predictor.graph.file)]
    with Popen(words, stdout=PIPE, stderr=DEVNULL, text=True) as server:
        try:
            address = server.stdout.readline().strip() if server.stdout else ""

            def ask(path: str) -> dict[str, float]:
                request = Request(f"{address}/predict", Path(path).read_bytes())
                with DIRECT.open(request, timeout=60) as answer:
                    return dict(json.load(answer)["probabilities"])

            yield ask if address else None
        finally:
            server.terminate()
