"""Google's YAMNet weights: where they are, and how they get into the network, all or nothing.

Two official files hold them. ``yamnet.tflite`` has int8 weights, one scale per output channel,
and int32 biases that batch normalization was folded into; ``yamnet.h5`` has float32 weights with
batch normalization apart. Names, counts, shapes and digests are checked before the first copy.

Source: YAMNet's README and ``yamnet.py`` (tensorflow/models, audioset, Apache-2.0).
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from affekt.errors import ModelError
from affekt.model.yamnet import LAYERS, YAMNet

#: File name to (SHA-256, official address).
OFFICIAL: dict[str, tuple[str, str]] = {
    "yamnet.tflite": (
        "10c95ea3eb9a7bb4cb8bddf6feb023250381008177ac162ce169694d05c317de",
        "https://storage.googleapis.com/mediapipe-models/audio_classifier/yamnet/float32/1/yamnet.tflite",
    ),
    "yamnet.h5": (
        "13c3308955bbfaef262f175ac9c40e47b134573a93984f009220dd7cc12a1744",
        "https://storage.googleapis.com/audioset/yamnet.h5",
    ),
}

Kernels = list[tuple[NDArray[np.float32], NDArray[np.float32]]]


def folders() -> tuple[Path, ...]:
    """Where weights are looked for, in this order: ``AFFEKT_WEIGHTS``, then the user's cache."""
    import pooch

    named = os.environ.get("AFFEKT_WEIGHTS")
    return (*((Path(named),) if named else ()), Path(pooch.os_cache("affekt")))


def find(name: str = "yamnet.tflite", path: Path | str | None = None) -> Path:
    """The file of YAMNet's weights.

    Args:
        name: a key of :data:`OFFICIAL`.
        path: the file, or its folder; ``None`` looks in :func:`folders`.

    Returns:
        Where it is.

    Raises:
        ModelError: none is.
    """
    places = (Path(path),) if path is not None else folders()
    for place in places:
        for candidate in (place, place / name):
            if candidate.name == name and candidate.is_file():
                return candidate
    raise ModelError(
        f"YAMNet's weights, {name}, must be in one of the places looked in. "
        f"Got none in {', '.join(map(str, places))}. Run `affekt weights --download`, or copy the "
        f"file there from {OFFICIAL[name][1]}."
    )


def download(name: str = "yamnet.tflite") -> Path:
    """Fetch the official file into the user's cache, with a progress bar and a digest check.

    Args:
        name: a key of :data:`OFFICIAL`.

    Returns:
        Where it now is.

    Raises:
        ModelError: the machine is offline, or another file came.
    """
    import pooch

    digest, address = OFFICIAL[name]
    try:
        return Path(
            pooch.retrieve(
                address,
                known_hash=f"sha256:{digest}",
                fname=name,
                path=folders()[-1],
                progressbar=_Progress(name),
            )
        )
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{name} must be downloadable from {address}. Got {type(error).__name__}. Fetch it on "
            f"a machine that is online and point AFFEKT_WEIGHTS at its folder."
        ) from error


class _Progress:
    """A rich progress bar that answers what pooch asks of one."""

    def __init__(self, name: str) -> None:
        from rich.console import Console
        from rich.progress import DownloadColumn, Progress, TimeRemainingColumn

        self._bar = Progress(
            *Progress.get_default_columns()[:-1],
            DownloadColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task(name)
        self._bar.start()

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "total":
            self._bar.update(self._task, total=value)
        else:
            super().__setattr__(name, value)

    def update(self, count: int) -> None:
        self._bar.advance(self._task, count)

    def reset(self) -> None:
        self._bar.reset(self._task)

    def close(self) -> None:
        self._bar.stop()


def load_yamnet(
    network: YAMNet, patches: Tensor, name: str = "yamnet.tflite", path: Path | str | None = None
) -> None:
    """Put Google's weights into the network.

    ``yamnet.tflite`` was trained with ReLU6 (``YAMNet(ceiling=6)``), ``yamnet.h5`` with ReLU.

    Args:
        network: the network to fill; touched only once all of the file is known to fit.
        patches: ``(patches, 96, 64)`` log-mels of training recordings: what the statistics of
            the batch norms are taken from when the file holds none (``yamnet.tflite``).
        name: as in :func:`find`.
        path: as in :func:`find`.

    Raises:
        ModelError: no file, another digest, or other names, counts or shapes.
    """
    file = find(name, path)
    check_digest(file)
    if file.suffix == ".h5":
        network.load_state_dict(read_h5(file))
    else:
        unfold_batch_norms(network, read_tflite(file), patches)


def check_digest(file: Path) -> None:
    """Refuse a file that is not bit for bit the official one of its name."""
    known = OFFICIAL.get(file.name)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if known is None or digest != known[0]:
        raise ModelError(
            f"{file} must be one of {', '.join(OFFICIAL)} with its published SHA-256. "
            f"Got {digest}. Run `affekt weights --download`."
        )


def read_tflite(file: Path) -> Kernels:
    """Kernel and bias of each convolution in ``yamnet.tflite``, in float32.

    Args:
        file: the official file, or one with the same operators.

    Returns:
        27 pairs of ``(channels, channels_in_per_group, height, width)`` and ``(channels,)``.

    Raises:
        ModelError: not a TFLite file, or convolutions of another count or shape.
    """
    import tflite

    content = file.read_bytes()
    if content[4:8] != b"TFL3":
        raise ModelError(f"{file} must be a TensorFlow Lite file. Got something else.")
    model = tflite.Model.GetRootAs(content, 0)
    graph = model.Subgraphs(0)
    kernels: Kernels = []
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        code = model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
        if code in (tflite.BuiltinOperator.CONV_2D, tflite.BuiltinOperator.DEPTHWISE_CONV_2D):
            weight, bias = (_dequantize(model, graph, operator.Inputs(i)) for i in (1, 2))
            # Dense kernels are stored (out, h, w, in), depthwise ones (1, h, w, out).
            axes = (
                (3, 0, 1, 2) if code == tflite.BuiltinOperator.DEPTHWISE_CONV_2D else (0, 3, 1, 2)
            )
            kernels.append((weight.transpose(axes), bias))
    _check_shapes(file, kernels)
    return kernels


def _dequantize(model: Any, graph: Any, index: int) -> NDArray[np.float32]:
    import tflite

    tensor = graph.Tensors(index)
    stored = np.int8 if tensor.Type() == tflite.TensorType.INT8 else np.int32
    raw = model.Buffers(tensor.Buffer()).DataAsNumpy()
    values = raw.view(stored).reshape(tensor.ShapeAsNumpy())
    quantization = tensor.Quantization()
    shape = [1] * values.ndim
    shape[quantization.QuantizedDimension()] = -1
    scale = quantization.ScaleAsNumpy().reshape(shape)
    zero = quantization.ZeroPointAsNumpy().reshape(shape)
    return np.asarray((values - zero) * scale, dtype=np.float32)


def _check_shapes(file: Path, kernels: Kernels) -> None:
    expected = [tuple(row.convolution.weight.shape) for row in YAMNet().rows]
    got = [kernel.shape for kernel, _ in kernels]
    if got != expected:
        first = next(
            (i for i, pair in enumerate(zip(got, expected, strict=False)) if len(set(pair)) > 1), 0
        )
        raise ModelError(
            f"{file} must hold YAMNet's {len(expected)} convolutions in order. Got {len(got)}, the "
            f"first difference at layer {first + 1}. Run `affekt weights --download`."
        )


@torch.no_grad()
def unfold_batch_norms(network: YAMNet, kernels: Kernels, patches: Tensor) -> None:
    """Load convolutions whose batch norms were folded away, and give each one a batch norm again.

    Each norm gets as running mean and variance those of its input over real patches, and the
    scale and shift that undo them: the function stays the same, and training then
    normalizes by batch, as the original does.

    Args:
        network: the network to fill.
        kernels: as :func:`read_tflite` returns them.
        patches: ``(patches, 96, 64)`` log-mels, at least some hundred.
    """
    x = patches[:, None].contiguous(memory_format=torch.channels_last)
    for row, (kernel, bias) in zip(network.rows, kernels, strict=True):
        row.convolution.weight.copy_(torch.from_numpy(kernel))
        x = row.convolve(x)
        variance, mean = torch.var_mean(x, dim=(0, 2, 3))
        row.norm.get_buffer("running_mean").copy_(mean)
        row.norm.get_buffer("running_var").copy_(variance)
        row.norm.weight.copy_(torch.sqrt(variance + row.norm.eps))
        row.norm.bias.copy_(torch.from_numpy(bias) + mean)
        x = row.rectify(x + torch.from_numpy(bias)[:, None, None])


def read_h5(file: Path) -> dict[str, Tensor]:
    """The network's state as ``yamnet.h5`` holds it (Keras' layout).

    Args:
        file: an HDF5 file with one group a layer: ``layer1/conv``, ``layer2/depthwise_conv``, ...

    Returns:
        A complete ``state_dict`` of :class:`~affekt.model.yamnet.YAMNet`.

    Raises:
        ModelError: not HDF5, or a value that is missing, or of another shape.
    """
    import h5py

    state = YAMNet().state_dict()
    try:
        with h5py.File(file) as stored:
            for name, source, axes in _keras_names():
                if source not in stored:
                    raise ModelError(
                        f"{file} must hold {source}. Got a file without it. "
                        f"Run `affekt weights --download yamnet.h5`."
                    )
                value = np.asarray(stored[source], np.float32).transpose(axes)
                if value.shape != tuple(state[name].shape):
                    raise ModelError(
                        f"{source} of {file} must have shape {tuple(state[name].shape)} once "
                        f"transposed. Got {value.shape}. Run `affekt weights --download yamnet.h5`."
                    )
                state[name] = torch.from_numpy(value.copy())
    except OSError as error:
        raise ModelError(
            f"{file} must be an HDF5 file. Got something else. "
            f"Run `affekt weights --download yamnet.h5`."
        ) from error
    return state


def _keras_names() -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """(our name, Keras' path, transposition) of every value; Keras writes a layer's name twice."""
    norms = {"bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    for index, layer in enumerate(LAYERS):
        if index == 0:
            kind, kernel, axes = "layer1/conv", "kernel", (3, 2, 0, 1)
        elif layer.depthwise:
            kind, kernel, axes = (
                f"layer{2 + index // 2}/depthwise_conv",
                "depthwise_kernel",
                (2, 3, 0, 1),
            )
        else:
            kind, kernel, axes = f"layer{1 + index // 2}/pointwise_conv", "kernel", (3, 2, 0, 1)
        yield f"layers.{index}.convolution.weight", f"{kind}/{kind}/{kernel}:0", axes
        for ours, theirs in norms.items():
            yield f"layers.{index}.norm.{ours}", f"{kind}/bn/{kind}/bn/{theirs}:0", (0,)
