"""Rebuild the PyTorch network of a model file, from the graph's weights and its metadata.

The exporter names most weights as PyTorch does. Weights that it transposed have no such name: they
are found by the node that reads them, whose name is the path of its module.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper
from torch import Tensor

from affekt.audio.windows import PATCH_HOP
from affekt.errors import ModelError, shortage
from affekt.model.architecture import Architecture, read_architecture
from affekt.model.classifier import Classifier, fold_batch_norms
from affekt.model.export import TOLERANCE, largest_difference

_LSTM = {1: "weight_ih", 2: "weight_hh"}  # by the input of the node
_GATES = [0, 2, 3, 1]  # PyTorch's i, f, g, o among ONNX's i, o, f, g
_SMALL = Architecture(
    ("angry", "happy", "sad", "neutral"),
    blocks=5,
    head="statistics",
    hop=PATCH_HOP,
    last_window="pad",
    loudness="running",
    speaker_normalization=True,
    time_constant=20.0,
    ensemble_size=2,
)
#: Networks of shipped files whose metadata lack their architecture, by the recipe's digest.
_BY_RECIPE = {"0a11bff7cff1": _SMALL, "15590287ef98": Architecture(_SMALL.labels)}


def load_pretrained(model: str | Path = "affekt") -> Classifier:
    """Load a model file as a PyTorch network with its weights, in evaluation mode.

    The network takes waveform by :meth:`~affekt.model.classifier.Classifier.step`: float32 at
    16 kHz in [-1, 1], ``(windows, 15600)``, as
    :func:`~affekt.audio.windows.sliding_windows` cuts it with the ``hop`` and ``last_window`` of
    the network's ``architecture``. It returns probabilities ``(windows, labels)`` after each
    window. Every operation has a gradient.

    Args:
        model: name of a shipped model, or path of a file that this version of affekt exported.

    Returns:
        The network. Batch norms are merged into the convolutions before them.

    Raises:
        ModelError: no such model, one whose architecture is not known, or a
            difference above 1e-4 between probabilities of the network and of the file.

    >>> load_pretrained("affekt").architecture.labels  # doctest: +SKIP
    ('angry', 'happy', 'sad', 'neutral')
    """
    return load_with_metadata(model)[0]


def load_with_metadata(model: str | Path) -> tuple[Classifier, dict[str, Any], Path]:
    """The network of :func:`load_pretrained`, the metadata of its file, and the file."""
    from affekt.inference.shipped_models import load_model

    graph = load_model(model)
    content = graph.file.read_bytes()
    temperature = graph.metadata.get("temperature", 1.0)
    try:
        classifier = fold_batch_norms(Classifier(_architecture(graph.file, graph.metadata)))
        weights = _weights(onnx.load_model_from_string(content), classifier)
        classifier.load_state_dict({**weights, "temperature": torch.tensor(temperature)})
        classifier.temperature_known.fill_(graph.metadata.get("temperature_known", temperature))
    except Exception as error:  # wrong metadata may raise any
        if isinstance(error, ModelError) or shortage(error):
            raise
        (got, *_) = str(error).splitlines()[1:] or [repr(error)]
        raise _unfit(graph.file, got.strip()) from error
    difference = largest_difference(classifier, content)
    if not difference <= TOLERANCE:
        raise _unfit(graph.file, f"probabilities {difference:.2g} apart")
    return classifier, dict(graph.metadata), graph.file


def _architecture(file: Path, metadata: Any) -> Architecture:
    if "architecture" in metadata:
        return read_architecture(metadata["architecture"])
    if metadata.get("recipe") in _BY_RECIPE:
        return _BY_RECIPE[metadata["recipe"]]
    raise ModelError(
        f"Model {file} must name its architecture in its metadata. Got none, as affekt 0.1 "
        f"exported it. Export it again with affekt export."
    )


def _unfit(file: Path, got: str) -> ModelError:
    return ModelError(
        f"Model {file} must hold the float weights of the network that its metadata describe. "
        f"Got {got}. Choose a model in float16 or float32, or export it again."
    )


def _weights(model: onnx.ModelProto, classifier: Classifier) -> dict[str, Tensor]:
    """All weights of a graph, by their names in PyTorch."""
    arrays = {
        stored.name.removesuffix("_half"): numpy_helper.to_array(stored).astype(np.float32)
        for stored in model.graph.initializer
    }
    found: dict[str, NDArray[np.floating]] = {
        name.removeprefix("classifier."): values
        for name, values in arrays.items()
        if name.startswith("classifier.")
    }
    sums = []
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name not in arrays or name.startswith("classifier."):
                continue
            if node.op_type == "Add" and node.name.startswith("/speaker/"):
                sums.append(arrays[name].astype(np.float64))
            found |= dict(_of_node(node, place, arrays[name]))
    if classifier.speaker and len(sums) == 2:  # prior * mean, prior * (variance + mean^2)
        mean, square = (each / classifier.speaker.prior for each in sums)
        found |= {"speaker.mean": mean, "speaker.variance": square - mean**2}
    return {name: torch.from_numpy(np.array(each, np.float32)) for name, each in found.items()}


def _of_node(
    node: NodeProto, place: int, values: NDArray[np.float32]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The weights that a node reads transposed or in another order, by their names in PyTorch."""
    path, _, own = node.name.strip("/").rpartition("/")
    module = path.replace("/", ".")
    if not module.startswith(("trunk.", "head.")):
        module = f"head.{module}"  # Classifier calls Head.pool, which the exporter does not name
    if node.op_type == "MatMul":
        yield f"{module}.weight", values.T
    elif node.op_type == "LSTM":
        layer = int(own.partition("_")[2] or 0)
        (stored,) = values  # of the one direction
        if place in _LSTM:
            gates = stored.reshape(4, -1)[_GATES].reshape(stored.shape)
            yield f"{module}.{_LSTM[place]}_l{layer}", gates
        else:
            biases = stored.reshape(2, 4, -1)[:, _GATES].reshape(2, -1)
            yield f"{module}.bias_ih_l{layer}", biases[0]
            yield f"{module}.bias_hh_l{layer}", biases[1]
