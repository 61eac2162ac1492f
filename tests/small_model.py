"""Write a small model file, so that inference is tested without a trained network.

Each window gives the loudness of its parts; their running sums and the count of windows are the
state. The answer is a softmax over the running means, so it depends on every window before and
on where in the windows the sound is loud.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from affekt.inference.graph import Graph, State

LABELS = ("angry", "happy", "sad", "neutral")
WINDOW = 15_600
HOP = 7_800
FEATURES = 6


def metadata(**changes: Any) -> dict[str, Any]:
    """The metadata of the small model, with some fields changed."""
    return {
        "format": 1,
        "name": "small",
        "labels": list(LABELS),
        "sample_rate": 16_000,
        "window": WINDOW,
        "hop": HOP,
        "state": [{"name": "sums", "shape": [1, FEATURES]}, {"name": "count", "shape": [1, 1]}],
        "corpora": [{"name": "made-up", "digest": "0" * 64, "clips": 1, "speakers": 1}],
        "licence": "Apache-2.0",
        "recipe": "0" * 64,
        "version": "0.1.0",
    } | changes


def small_model(path: Path, *, note: object = None, key: str = "affekt", width: int = 4) -> Path:
    """Write the model.

    Args:
        path: file to write.
        note: metadata in place of :func:`metadata`; text is stored as it is.
        key: metadata key.
        width: how many probabilities it answers.

    Returns:
        ``path``.
    """
    mixing = np.random.default_rng(7).normal(size=(FEATURES, width)) * 2
    constants = {
        "parts": np.array([0, FEATURES, WINDOW // FEATURES], np.int64),
        "mixing": (mixing - mixing.mean(axis=0)).astype(np.float32),
        "one": np.ones(1, np.float32),
        "one_more": np.array([0, 0, 0, 1], np.int64),
        "split": np.array([FEATURES, 1], np.int64),
        "windows_axis": np.array(0, np.int64),
        "first": np.zeros(1, np.int64),
        "last": np.array([-1], np.int64),
        "end": np.array([np.iinfo(np.int64).max], np.int64),
        "within": np.array([2], np.int64),
        "count_one": np.array(1, np.float32),
    }
    nodes = [
        helper.make_node("Reshape", ["windows", "parts"], ["pieces"]),
        helper.make_node("ReduceL1", ["pieces", "within"], ["loudness"], keepdims=0),
        helper.make_node("Add", ["loudness", "one"], ["above_one"]),
        helper.make_node("Log", ["above_one"], ["features"]),
        helper.make_node("Pad", ["features", "one_more", "count_one"], ["counted"]),
        helper.make_node("CumSum", ["counted", "windows_axis"], ["here"]),
        helper.make_node("Concat", ["sums", "count"], ["before"], axis=1),
        helper.make_node("Add", ["here", "before"], ["totals"]),
        helper.make_node("Split", ["totals", "split"], ["running", "windows_so_far"], axis=1),
        helper.make_node("Div", ["running", "windows_so_far"], ["mean"]),
        helper.make_node("MatMul", ["mean", "mixing"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("Slice", ["running", "last", "end", "first"], ["sums_next"]),
        helper.make_node("Slice", ["windows_so_far", "last", "end", "first"], ["count_next"]),
    ]
    numbers = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "small",
        [
            helper.make_tensor_value_info("windows", numbers, ["n", WINDOW]),
            helper.make_tensor_value_info("sums", numbers, [1, FEATURES]),
            helper.make_tensor_value_info("count", numbers, [1, 1]),
        ],
        [
            helper.make_tensor_value_info("probabilities", numbers, ["n", width]),
            helper.make_tensor_value_info("sums_next", numbers, [1, FEATURES]),
            helper.make_tensor_value_info("count_next", numbers, [1, 1]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    text = note if isinstance(note, str) else json.dumps(metadata() if note is None else note)
    helper.set_model_props(model, {key: text})
    onnx.save(model, path)
    return path


def wandering_noise(samples: int, seed: int = 0) -> NDArray[np.float32]:
    """Noise whose loudness wanders, so that windows differ."""
    rng = np.random.default_rng(seed)
    loudness = np.repeat(rng.uniform(0, 0.5, samples // 2_000 + 1), 2_000)[:samples]
    return (rng.normal(size=samples) * loudness).astype(np.float32)


def probabilities_by(
    graph: Graph, windows: NDArray[np.float32], state: State, *, adapt: bool = False
) -> tuple[NDArray[np.float32], State]:
    """Run any model file, for its probabilities and state alone."""
    outputs, after = graph.run(windows, state, adapt=adapt)
    return outputs["probabilities"], after
