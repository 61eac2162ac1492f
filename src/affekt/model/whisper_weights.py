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
#: The weight that stands before each bias: matrices have no names of their own in the ONNX file.
MATRICES = ("self_attn.q_proj", "self_attn.v_proj", "self_attn.out_proj", "fc1", "fc2")


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
        file: ``smart-turn-v3.2-cpu.onnx`` or a file with the same operators.

    Returns:
        Weights by the names of ``WhisperEncoder``: 4 layers, 400 positions.

    Raises:
        ModelError: not a whole ONNX file, or not one of this form.
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

    stored = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    made_by = {output: node for node in graph.node for output in node.output}

    def dequantized(node: Any) -> NDArray[np.float32]:
        values, scale, zero = (stored[name].astype(np.float32) for name in node.input)
        axis = {each.name: each.i for each in node.attribute}.get("axis", 1)
        shape = [1] * values.ndim
        shape[axis if values.ndim else 0] = -1
        return ((values - zero.reshape(shape)) * scale.reshape(shape)).astype(np.float32)

    def value(name: str) -> NDArray[np.float32] | None:
        """A stored or dequantized tensor; None for an activation."""
        if name in stored:
            return np.asarray(stored[name], np.float32)
        node = made_by.get(name)
        if node is None or node.op_type != "DequantizeLinear" or node.input[0] not in stored:
            return None
        return dequantized(node)

    for name in stored:
        if name.startswith(PREFIX) and not name.endswith(("_quantized", "_scale", "_zero_point")):
            yield name.removeprefix(PREFIX), np.asarray(stored[name], np.float32)
    for conv in (node for node in graph.node if node.op_type == "Conv"):
        name = conv.input[1].removeprefix(PREFIX).partition(".")[0]
        for kind, tensor in zip(("weight", "bias"), conv.input[1:], strict=True):
            array = value(tensor)
            if array is not None:
                yield f"{name}.{kind}", array
    yield from _matrices(graph, made_by, value)


def _matrices(graph: Any, made_by: Any, value: Any) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The matrix of each linear layer, identified by the bias that is added after it."""
    layer_of: dict[str, str] = {}  # normalized input of the attention -> its layer
    products = [node for node in graph.node if node.op_type == "MatMul"]
    for node in (node for node in graph.node if node.op_type == "Add"):
        bias = next((name for name in node.input if name.startswith(PREFIX)), "")
        owner = bias.removeprefix(PREFIX).removesuffix(".bias")
        if not bias.endswith(".bias") or not owner.endswith(MATRICES):
            continue
        product = _product_behind(next(n for n in node.input if n != bias), made_by)
        yield f"{owner}.weight", value(product.input[1]).T
        if owner.endswith("q_proj"):
            layer_of[product.input[0]] = owner.removesuffix("q_proj")
    for product in products:  # keys have no bias: the one product of that input that has no name
        owner = layer_of.get(product.input[0])
        if owner and not _has_bias(product, graph):
            yield f"{owner}k_proj.weight", value(product.input[1]).T


def _product_behind(name: str, made_by: Any) -> Any:
    """The matrix product whose output, quantized and dequantized, a tensor is."""
    node = made_by[name]
    while node.op_type != "MatMul":
        node = made_by[node.input[0]]
    return node


def _has_bias(product: Any, graph: Any) -> bool:
    """Whether a bias is added to a product, after it was quantized and dequantized."""
    names = {product.output[0]}
    for node in graph.node:  # in topological order
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and node.input[0] in names:
            names.update(node.output)
        if node.op_type == "Add" and names & set(node.input):
            return True
    return False
