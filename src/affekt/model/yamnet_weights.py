"""Read YAMNet's weights from one of Google's two files and put them into the network.

``yamnet.tflite`` has int8 weights with one scale per output channel, and int32 biases that contain
the batch normalization. ``yamnet.h5`` has float32 weights and separate batch normalization.
Names, counts, shapes and digest are checked before the first weight is copied.

Source: YAMNet's ``yamnet.py`` (tensorflow/models, audioset, Apache-2.0).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from affekt.errors import ModelError
from affekt.model.pretrained import check_digest, find
from affekt.model.yamnet import LAYERS, YAMNet

#: Of each convolution: ``(channels, channels_in_per_group, height, width)`` and ``(channels,)``.
Kernels = list[tuple[NDArray[np.float32], NDArray[np.float32]]]


def load_yamnet(
    network: YAMNet, patches: Tensor, name: str = "yamnet.tflite", path: Path | str | None = None
) -> None:
    """Put Google's weights into the network, all or nothing.

    ``yamnet.tflite`` was trained with ReLU6 (``YAMNet(relu_max=6)``), ``yamnet.h5`` with ReLU.

    Args:
        network: to fill, after the whole file was checked.
        patches: ``(patches, 96, 64)`` log-mels of training recordings. Batch statistics are
            computed from them for ``yamnet.tflite``, which has none.
        name: as in :func:`~affekt.model.pretrained.find`.
        path: as in :func:`~affekt.model.pretrained.find`.

    Raises:
        ModelError: no file, another digest, or other names, counts or shapes.
    """
    file = find(name, path)
    check_digest(file)
    if file.suffix == ".h5":
        state = read_h5(file)
        network.load_state_dict({name: state[name] for name in network.state_dict()})
    else:
        unfold_batch_norms(network, read_tflite(file), patches)


def read_tflite(file: Path) -> Kernels:
    """Read kernel and bias of each convolution in ``yamnet.tflite``, dequantized to float32.

    Args:
        file: the official file, or one with the same operators.

    Returns:
        27 pairs, in the network's order.

    Raises:
        ModelError: not a whole TFLite file, or convolutions of another count or shape.
    """
    try:
        kernels = list(_convolutions(file.read_bytes()))
    except Exception as error:  # the reader raises whatever the bytes make it raise
        raise ModelError(
            f"{file} must be a whole, quantized TensorFlow Lite file. "
            f"Got {type(error).__name__}. Run `affekt weights --download`."
        ) from error
    weights = [row.convolution.weight for row in YAMNet().rows]
    expected = [(tuple(weight.shape), (len(weight),)) for weight in weights]
    got = [(kernel.shape, bias.shape) for kernel, bias in kernels]
    if got != expected:
        raise ModelError(
            f"{file} must hold YAMNet's {len(expected)} convolutions in order. "
            f"Got {len(got)}, or other shapes. Run `affekt weights --download`."
        )
    return kernels


def _convolutions(content: bytes) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    import tflite

    if not tflite.Model.ModelBufferHasIdentifier(content, 0):
        raise ValueError("not a TensorFlow Lite file")
    model = tflite.Model.GetRootAs(content, 0)
    graph = model.Subgraphs(0)
    dense, depthwise = tflite.BuiltinOperator.CONV_2D, tflite.BuiltinOperator.DEPTHWISE_CONV_2D
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        code = model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
        if code in (dense, depthwise):
            kernel, bias = (_dequantize(model, graph, operator.Inputs(i)) for i in (1, 2))
            # Dense kernels are stored (out, h, w, in), depthwise ones (1, h, w, out).
            yield kernel.transpose((0, 3, 1, 2) if code == dense else (3, 0, 1, 2)), bias


def _dequantize(model: Any, graph: Any, index: int) -> NDArray[np.float32]:
    import tflite

    tensor = graph.Tensors(index)
    stored = {tflite.TensorType.INT8: np.int8, tflite.TensorType.INT32: np.int32}[tensor.Type()]
    raw = model.Buffers(tensor.Buffer()).DataAsNumpy()
    values = raw.view(stored).reshape(tensor.ShapeAsNumpy())
    quantization = tensor.Quantization()
    shape = [1] * values.ndim
    shape[quantization.QuantizedDimension()] = -1
    scale = quantization.ScaleAsNumpy().reshape(shape)
    zero = quantization.ZeroPointAsNumpy().reshape(shape)
    return np.asarray((values - zero) * scale, dtype=np.float32)


@torch.no_grad()
def unfold_batch_norms(network: YAMNet, kernels: Kernels, patches: Tensor) -> None:
    """Load convolutions that contain their batch norms, and restore separate batch norms.

    The running mean and variance of each norm are those of its input over ``patches``; its scale
    and shift undo them. So the function stays the same, and training normalizes by batch.

    Args:
        network: to fill.
        kernels: as :func:`read_tflite` returns them.
        patches: ``(patches, 96, 64)`` log-mels, at least some hundred.
    """
    x = patches[:, None].contiguous(memory_format=torch.channels_last)
    rows = network.rows  # fewer than kernels where the network is cut
    for row, (kernel, bias) in zip(rows, kernels[: len(rows)], strict=True):
        row.convolution.weight.copy_(torch.from_numpy(kernel))
        x = row.convolve(x)
        variance, mean = torch.var_mean(x, dim=(0, 2, 3))
        row.norm.get_buffer("running_mean").copy_(mean)
        row.norm.get_buffer("running_var").copy_(variance)
        row.norm.weight.copy_(torch.sqrt(variance + row.norm.eps))
        row.norm.bias.copy_(torch.from_numpy(bias) + mean)
        x = row.rectify(x + torch.from_numpy(bias)[:, None, None])


def read_h5(file: Path) -> dict[str, Tensor]:
    """Read the weights of all layers from ``yamnet.h5``, which has Keras' layout.

    Args:
        file: an HDF5 file with one group a layer: ``layer1/conv``, ``layer2/depthwise_conv``, ...

    Returns:
        A complete ``state_dict`` of :class:`~affekt.model.yamnet.YAMNet`.

    Raises:
        ModelError: not a whole HDF5 file, or an array is missing or has another shape.
    """
    import h5py

    state = YAMNet().state_dict()  # scales of its norms are 1; Keras' file has none
    try:
        with h5py.File(file) as stored:
            for name, path, axes in _keras_names():
                value = stored.get(path)
                shape = tuple(state[name].shape[axis] for axis in np.argsort(axes))
                got = getattr(value, "shape", "nothing there")
                if got != shape:
                    raise ModelError(
                        f"{path} of {file} must have shape {shape}. Got {got}. "
                        f"Run `affekt weights --download yamnet.h5`."
                    )
                array = np.asarray(value, np.float32).transpose(axes)
                state[name] = torch.from_numpy(array.copy())
    except ModelError:
        raise
    except Exception as error:  # the reader raises whatever the bytes make it raise
        raise ModelError(
            f"{file} must be a whole HDF5 file of float arrays. Got {type(error).__name__}. "
            f"Run `affekt weights --download yamnet.h5`."
        ) from error
    return state


def _keras_names() -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Our name, Keras' path and transposition of every array; Keras repeats a layer's name."""
    norms = {"bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    for index, layer in enumerate(LAYERS):
        kind = "depthwise_conv" if layer.depthwise else "pointwise_conv" if index else "conv"
        kernel, axes = ("depthwise_kernel", (2, 3)) if layer.depthwise else ("kernel", (3, 2))
        # A depthwise convolution and the pointwise one after it share a number.
        path = f"layer{(index + 3) // 2}/{kind}"
        yield f"layers.{index}.convolution.weight", f"{path}/{path}/{kernel}:0", (*axes, 0, 1)
        for ours, theirs in norms.items():
            yield f"layers.{index}.norm.{ours}", f"{path}/bn/{path}/bn/{theirs}:0", (0,)
