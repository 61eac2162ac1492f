"""Run the original YAMNet graph with LiteRT on windows of real recordings."""

import warnings
from functools import cache
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from affekt.audio.reading import read
from affekt.audio.windows import sliding_windows

Floats = NDArray[np.float32]
CLIPS = 50
WINDOWS_EACH = 4


class OfficialGraph:
    """The graph with all its inner tensors, found by name."""

    def __init__(self, file: Path) -> None:
        with warnings.catch_warnings():  # LiteRT's: that keeping inner tensors is for debugging
            warnings.simplefilter("ignore", UserWarning)
            self._graph = Interpreter(
                str(file), num_threads=1, experimental_preserve_all_tensors=True
            )
        self._graph.allocate_tensors()
        self._tensors = {each["name"]: each for each in self._graph.get_tensor_details()}

    def tensor(self, ending: str) -> Floats:
        """The tensor whose name ends so, dequantized."""
        (name,) = (name for name in self._tensors if name.endswith(ending))
        details = self._tensors[name]
        values = self._graph.get_tensor(details["index"])
        found = details["quantization_parameters"]
        if not found["scales"].size:
            return np.array(values)
        shape = [1] * values.ndim
        if found["scales"].size > 1:
            shape[found["quantized_dimension"]] = -1
        zero, scale = found["zero_points"].reshape(shape), found["scales"].reshape(shape)
        return ((values.astype(np.int64) - zero) * scale).astype(np.float32)

    def run(self, windows: Floats, *endings: str) -> list[Floats]:
        """Some tensors for each window, the axis of windows first."""
        rows = []
        for window in windows:
            self._graph.set_tensor(self._graph.get_input_details()[0]["index"], window)
            self._graph.invoke()
            rows.append([self.tensor(ending).squeeze() for ending in endings])
        return [np.stack(column) for column in zip(*rows, strict=True)]

    def classify(self, embeddings: Floats) -> NDArray[np.int64]:
        """AudioSet class of each embedding, by the graph's own last layer."""
        logits = embeddings @ self.tensor("layer29/fc/MatMul").T + self.tensor("fc/biases")
        return logits.argmax(axis=1)


@cache
def real_clips(data: Path) -> tuple[Floats, ...]:
    """Sounds of 50 RAVDESS clips, spread over all speakers and emotions."""
    files = sorted((data / "ravdess").rglob("*.flac"))
    chosen = np.linspace(0, len(files) - 1, CLIPS).astype(int)
    return tuple(read(files[each]) for each in chosen)


@cache
def real_windows(data: Path) -> Floats:
    """200 windows, four spread over each of :func:`real_clips`."""
    parts = [sliding_windows(clip) for clip in real_clips(data)]
    return np.concatenate(
        [part[np.linspace(0, len(part) - 1, WINDOWS_EACH).astype(int)] for part in parts]
    )
