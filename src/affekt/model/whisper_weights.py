"""Read the weights of Whisper's encoder and put them into the network.

``smart-turn-v3.2-cpu.onnx`` is the encoder of Whisper-tiny, fine-tuned to detect the end of a
turn; its matrices are int8 with one scale per output channel. Its digest is checked before it is
read.

Source: turn detector of the PyPI package ``pipecat-ai`` 1.14.0 (BSD-2-Clause, Daily), which
fine-tuned Whisper-tiny (MIT, OpenAI).
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from affekt.model.pretrained import TURN_DETECTOR, find
from affekt.model.whisper import WhisperEncoder

Arrays = dict[str, NDArray[np.float32]]
PREFIX = "inner.encoder."
LAYERS = 4
#: The matrices of a layer in the order of the file, which has no names for them.
MATRICES = [f"self_attn.{name}_proj" for name in ("k", "q", "v", "out")] + ["fc1", "fc2"]


def load_turn_detector(encoder: WhisperEncoder, path: Path | str | None = None) -> None:
    """Put the weights of the published turn detector into an encoder of at most 4 layers.

    Path and errors are those of :func:`~affekt.model.pretrained.find`.
    """
    load_whisper(encoder, read_turn_detector(find(TURN_DETECTOR, path)))


def load_whisper(encoder: WhisperEncoder, arrays: Arrays) -> None:
    """Put weights of :func:`read_turn_detector` into an encoder of no more layers and positions."""
    weights = {name: torch.tensor(arrays[name]) for name in encoder.state_dict()}
    positions = "embed_positions.weight"
    weights[positions] = weights[positions][: len(encoder.embed_positions.weight)]
    encoder.load_state_dict(weights)


def read_turn_detector(file: Path) -> Arrays:
    """Read weights of 4 layers and 400 positions as float32, by the names of ``WhisperEncoder``."""
    import onnx
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    graph = onnx.load(str(file)).graph
    stored = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    floats: dict[str, Any] = {n: each for n, each in stored.items() if each.dtype == np.float32}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in stored:
            inputs = {name: stored[name] for name in node.input}
            (floats[node.output[0]],) = ReferenceEvaluator(node).run(None, inputs)
    weights = {
        name.removeprefix(PREFIX).removesuffix("_DequantizeLinear_Output"): values
        for name, values in floats.items()
        if name.startswith(PREFIX) and not name.endswith("_scale")
    }
    names = [f"layers.{layer}.{name}.weight" for layer in range(LAYERS) for name in MATRICES]
    products = [n for n in graph.node if n.op_type == "MatMul" and n.input[1] in floats]
    for name, product in zip(names, products, strict=False):  # more follow the encoder
        weights[name] = floats[product.input[1]].T
    return weights
