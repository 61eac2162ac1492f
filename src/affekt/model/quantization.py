"""Quantize the convolutions of an exported graph to int8: half the time, a quarter of the size.

Weights are int8, one scale per output channel. Activations are uint8, and their ranges are
calibrated on recordings. The first two convolutions and the head stay float32: int8 would lower
their accuracy and save no time.

Source: Jacob et al., "Quantization and training of neural networks for efficient
integer-arithmetic-only inference" (2018), per channel as in TensorFlow Lite's specification.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

from affekt.audio.reading import read
from affekt.audio.sound_files import sound_files
from affekt.audio.windows import WINDOW, sliding_windows
from affekt.errors import ModelError
from affekt.model.onnx_passes import drop_unused

FLOAT_CONVOLUTIONS = 2  # first convolutions of the CNN, which stay float32
BATCH = 8  # windows at a time
FILES = 100  # recordings; more of them change no range


def calibration_windows(folder: Path) -> NDArray[np.float32]:
    """Read calibration windows from at most 100 recordings, spread evenly over a folder.

    Args:
        folder: recordings of training speakers, at any depth.

    Returns:
        ``(windows, 15600)``, a whole number of batches.

    Raises:
        ModelError: too few recordings to fill a batch.
        AudioError: a recording cannot be read.
    """
    files = [folder / name for name in sound_files(folder)]
    chosen = files[:: -(-len(files) // FILES) or 1]
    parts = [sliding_windows(read(file), hop=WINDOW) for file in chosen]
    whole = sum(map(len, parts)) // BATCH * BATCH
    if not whole:
        raise ModelError(
            f"{folder} must hold recordings of {BATCH} windows or more. Got {len(files)} files. "
            f"Name a folder with recordings of training speakers."
        )
    return np.concatenate(parts)[:whole]


def quantize(model: onnx.ModelProto, windows: NDArray[np.float32]) -> onnx.ModelProto:
    """Quantize the convolutions of a graph.

    Args:
        model: as :func:`affekt.model.export.to_onnx` makes it.
        windows: ``(windows, 15600)``, as :func:`calibration_windows` returns them.

    Returns:
        The quantized graph, with the same inputs and outputs.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():
        file = Path(folder, "model.onnx")
        quantize_static(
            model,
            file,
            _Windows(model, windows),
            per_channel=True,
            reduce_range=True,  # processors without VNNI would overflow with all eight bits
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv", "Clip"],
            nodes_to_quantize=_convolutions(model),
        )
        quantized = onnx.load(file)
    drop_unused(quantized)  # bounds of ReLU6, which uint8 ranges replace
    return quantized


def _convolutions(model: onnx.ModelProto) -> list[str]:
    """Names of the convolutions to quantize, and of the ReLU6 nodes after them."""
    flat = {each.name for each in model.graph.initializer if len(each.dims) == 4}
    found = [n for n in model.graph.node if n.op_type == "Conv" and n.input[1] in flat][
        FLOAT_CONVOLUTIONS:
    ]
    outputs = {convolution.output[0] for convolution in found}
    clips = [n for n in model.graph.node if n.op_type == "Clip" and n.input[0] in outputs]
    return [node.name for node in (*found, *clips)]


class _Windows(CalibrationDataReader):  # type: ignore[misc]  # its package has no types
    """Calibration windows in batches, with zeros for the state, which no convolution reads."""

    def __init__(self, model: onnx.ModelProto, windows: NDArray[np.float32]) -> None:
        stored = {each.name for each in model.graph.initializer}
        shapes = {
            each.name: [axis.dim_value for axis in each.type.tensor_type.shape.dim]
            for each in model.graph.input
            if each.name not in stored | {"windows"}
        }
        self._state = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        self._batches = self._cut(windows)

    def _cut(self, windows: NDArray[np.float32]) -> Iterator[dict[str, NDArray[np.float32]]]:
        for first in range(0, len(windows), BATCH):
            batch = np.ascontiguousarray(windows[first : first + BATCH])
            yield {"windows": batch, **self._state}

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next batch, or None after the last one."""
        return next(self._batches, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the library's advice to preprocess the graph, which would change nothing here."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
