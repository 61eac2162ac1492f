"""Compute the default model's answers to a synthetic sound, to test a port to another language.

    python benchmarks/vectors.py > docs/artefacts/vectors.json

A port that gives these numbers, to 1e-3, cuts windows, pads the last one, carries the state and
updates profiles as affekt does. The sound is a formula, so no file is needed.
"""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

import affekt
from affekt.audio.windows import SAMPLE_RATE, sliding_windows
from arguments import parser_of

SECONDS = 4.5
FORMULA = (
    "0.2 * sin(2 * pi * (200 * t + 60 * t * t)) * (0.6 + 0.4 * sin(2 * pi * 3 * t)), t = i / rate"
)


def sound() -> NDArray[np.float32]:
    """``(samples,)`` of :data:`FORMULA` at 16 kHz: a voice's pitch and syllables, and no voice."""
    t = np.arange(round(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * t)
    return (0.2 * np.sin(2 * np.pi * (200 * t + 60 * t * t)) * swell).astype(np.float32)


def vectors() -> dict[str, Any]:
    """The sound, how it is cut, and probabilities after each window, in both modes."""
    graph = affekt.load("affekt").graph
    windows = np.ascontiguousarray(
        sliding_windows(sound(), hop=graph.hop, last_window=graph.last_window)
    )
    answers = {}
    for name, adapt in (("nobody known", False), ("learned as it is heard", True)):
        outputs, _ = graph.run(windows, graph.start, adapt=adapt)
        answers[name] = [
            [round(float(each), 5) for each in row] for row in outputs["probabilities"]
        ]
    return {
        "model": {"name": graph.file.stem, "sha256": graph.digest},
        "sound": {"formula": FORMULA, "rate": SAMPLE_RATE, "samples": sound().size},
        "windows": {"length": windows.shape[1], "hop": graph.hop, "tail": graph.last_window},
        "labels": list(graph.labels),
        "probabilities": answers,
    }


def main() -> None:
    """Print the answers as JSON."""
    parser_of(__doc__).parse_args()
    print(json.dumps(vectors(), indent=1))


if __name__ == "__main__":
    main()
