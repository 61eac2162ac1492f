"""Read YAMNet's weights from Google's ``yamnet.tflite`` and put them into the network.

It has int8 weights with one scale per output channel, and int32 biases that contain the batch
normalization. Its digest is checked before it is read.

Source: YAMNet's ``yamnet.py`` (tensorflow/models, audioset, Apache-2.0).
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from affekt.model.pretrained import find
from affekt.model.yamnet import YAMNet

#: Of each convolution: ``(channels, channels_in_per_group, height, width)`` and ``(channels,)``.
Kernels = list[tuple[NDArray[np.float32], NDArray[np.float32]]]


def load_yamnet(network: YAMNet, patches: Tensor, path: Path | str | None = None) -> None:
    """Put Google's weights into the network; see :func:`unfold_batch_norms`.

    The patches are of training recordings, for the batch statistics that the file lacks. Path and
    errors are those of :func:`~affekt.model.pretrained.find`.
    """
    unfold_batch_norms(network, read_tflite(find("yamnet.tflite", path)), patches)


def read_tflite(file: Path) -> Kernels:
    """Read kernel and bias, as float32, of the 27 convolutions in ``yamnet.tflite``, in order."""
    import tflite

    model = tflite.Model.GetRootAs(file.read_bytes(), 0)
    graph = model.Subgraphs(0)
    dense, depthwise = tflite.BuiltinOperator.CONV_2D, tflite.BuiltinOperator.DEPTHWISE_CONV_2D
    kernels = []
    for operator in map(graph.Operators, range(graph.OperatorsLength())):
        code = model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
        if code in (dense, depthwise):
            kernel, bias = (_dequantize(model, graph, operator.Inputs(i)) for i in (1, 2))
            # Dense kernels are stored (out, h, w, in), depthwise ones (1, h, w, out).
            axes = (0, 3, 1, 2) if code == dense else (3, 0, 1, 2)
            kernels.append((kernel.transpose(axes), bias))
    return kernels


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
    and shift undo them. So the function stays the same, and training normalizes by batch. The
    kernels are those of :func:`read_tflite`, the patches some hundred log-mels
    ``(patches, 96, 64)``.
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
