"""A graph in float32 to one whose convolutions multiply bytes: half the time, a quarter the size.

Weights are int8, one scale per output channel; activations are uint8 from 0 to a ceiling that is
found by listening to real windows. What is before the third convolution stays float32: it reads
log-mels through few channels, where bytes cost accuracy and gain no time. So does the head.

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

FLOAT = 2  # convolutions over time and frequency that stay float32
BATCH = 8  # windows at a time
FILES = 100  # recordings to listen to: more move no range


def listen(folder: Path) -> NDArray[np.float32]:
    """Windows to find ranges from: of 100 recordings at most, spread over all of a folder.

    Args:
        folder: recordings of training speakers, at any depth.

    Returns:
        ``(windows, 15600)``, a whole number of batches.

    Raises:
        ModelError: too few recordings to fill a batch.
        AudioError: one that cannot be read.
    """
    files = [folder / name for name in sound_files(folder)]
    chosen = files[:: -(-len(files) // FILES) or 1]
    parts = [sliding_windows(read(file), hop=WINDOW) for file in chosen]
    whole = sum(map(len, parts)) // BATCH * BATCH
    if not whole:
        raise ModelError(
            f"{folder} must hold recordings of {BATCH} windows or more. Got {len(files)} files. "
            f"Name a folder with some of the training speakers'."
        )
    return np.concatenate(parts)[:whole]


def quantize(model: onnx.ModelProto, windows: NDArray[np.float32]) -> onnx.ModelProto:
    """Let the convolutions multiply bytes.

    Args:
        model: as :func:`affekt.model.export.to_onnx` makes it.
        windows: ``(windows, 15600)``, as :func:`listen` returns them.

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
    drop_unused(quantized)  # the bounds of ceilings, which bytes have by themselves
    return quantized


def _convolutions(model: onnx.ModelProto) -> list[str]:
    """Names of the convolutions to quantize, and of the ceilings after them."""
    flat = {each.name for each in model.graph.initializer if len(each.dims) == 4}
    found = [n for n in model.graph.node if n.op_type == "Conv" and n.input[1] in flat][FLOAT:]
    made = {convolution.output[0] for convolution in found}
    ceilings = [n for n in model.graph.node if n.op_type == "Clip" and n.input[0] in made]
    return [node.name for node in (*found, *ceilings)]


class _Windows(CalibrationDataReader):  # type: ignore[misc]  # its package has no types
    """Windows batch by batch; the state does not reach the convolutions."""

    def __init__(self, model: onnx.ModelProto, windows: NDArray[np.float32]) -> None:
        known = {each.name for each in model.graph.initializer}
        shapes = {
            each.name: [axis.dim_value for axis in each.type.tensor_type.shape.dim]
            for each in model.graph.input
            if each.name not in known | {"windows"}
        }
        self._state = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        self._batches = self._cut(windows)

    def _cut(self, windows: NDArray[np.float32]) -> Iterator[dict[str, NDArray[np.float32]]]:
        for first in range(0, len(windows), BATCH):
            batch = np.ascontiguousarray(windows[first : first + BATCH])
            yield {"windows": batch, **self._state}

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next batch, or nothing: the library's protocol."""
        return next(self._batches, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library from recommending a preparation that would change nothing here."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
