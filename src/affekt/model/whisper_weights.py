"""Read the weights of Whisper's encoder and put them into the network.

``smart-turn-v3.2-cpu.onnx`` is the encoder of Whisper-tiny, fine-tuned to detect the end of a
turn; its matrices are int8 with one scale per output channel. Names, counts, shapes and digest are
checked before the first copy.

Source: turn detector of the PyPI package ``pipecat-ai`` 1.14.0 (BSD-2-Clause, Daily), which
fine-tuned Whisper-tiny (MIT, OpenAI).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from affekt.errors import ModelError
from affekt.model.pretrained import TURN_DETECTOR, check_digest, find
from affekt.model.whisper import WhisperEncoder

Arrays = dict[str, NDArray[np.float32]]
PREFIX = "inner.encoder."
LAYERS = 4
ATTENTION = tuple(f"self_attn.{name}_proj" for name in ("k", "q", "v", "out"))
#: The matrices of a layer in the order of the file, which has no names for them.
MATRICES = (*ATTENTION, "fc1", "fc2")


def load_turn_detector(encoder: WhisperEncoder, path: Path | str | None = None) -> None:
    """Put the weights of the published turn detector into an encoder.

    Args:
        encoder: to fill, at most 4 layers.
        path: as in :func:`~affekt.model.pretrained.find`.

    Raises:
        ModelError: no file, another digest, or other names, counts or shapes.
    """
    file = find(TURN_DETECTOR, path)
    check_digest(file)
    load_whisper(encoder, read_turn_detector(file), file)


def load_whisper(encoder: WhisperEncoder, arrays: Arrays, source: object) -> None:
    """Put weights into an encoder, all or nothing.

    Args:
        encoder: to fill; may have fewer layers and positions than the file, whose first ones
            are used.
        arrays: by the names of ``WhisperEncoder``.
        source: file or model that an error names.

    Raises:
        ModelError: a weight is missing or has another shape.
    """
    wanted = encoder.state_dict()
    state = {}
    for name, tensor in wanted.items():
        array = arrays.get(name)
        if array is not None and name == "embed_positions.weight":
            array = array[: len(tensor)]
        if array is None or array.shape != tuple(tensor.shape):
            got = "nothing there" if array is None else str(array.shape)
            raise ModelError(
                f"{name} of {source} must have shape {tuple(tensor.shape)}. Got {got}. "
                f"Run `affekt weights --download`."
            )
        state[name] = torch.tensor(array)
    encoder.load_state_dict(state)


def read_turn_detector(file: Path) -> Arrays:
    """Read the encoder inside the turn detector, dequantized to float32.

    Args:
        file: ``smart-turn-v3.2-cpu.onnx``.

    Returns:
        Weights by the names of ``WhisperEncoder``: 4 layers, 400 positions.

    Raises:
        ModelError: not a whole ONNX file.
    """
    import onnx

    try:
        graph = onnx.load(str(file)).graph
        return dict(_encoder_weights(graph))
    except Exception as error:  # the reader raises whatever the bytes make it raise
        raise ModelError(
            f"{file} must be a whole ONNX file of the turn detector. "
            f"Got {type(error).__name__}. Run `affekt weights --download`."
        ) from error


def _encoder_weights(graph: Any) -> Iterator[tuple[str, NDArray[np.float32]]]:
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    stored = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    floats: dict[str, Any] = {n: each for n, each in stored.items() if each.dtype == np.float32}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in stored:
            inputs = {name: stored[name] for name in node.input}
            (floats[node.output[0]],) = ReferenceEvaluator(node).run(None, inputs)
    for name, values in floats.items():
        if name.startswith(PREFIX) and not name.endswith("_scale"):
            yield name.removeprefix(PREFIX).removesuffix("_DequantizeLinear_Output"), values
    names = [f"layers.{layer}.{name}.weight" for layer in range(LAYERS) for name in MATRICES]
    products = [n for n in graph.node if n.op_type == "MatMul" and n.input[1] in floats]
    for name, product in zip(names, products, strict=False):  # more follow the encoder
        yield name, floats[product.input[1]].T
