"""Export a trained network as one ONNX file: waveform and state in, probabilities and state out.

Metadata in the file name its labels, window and hop, state tensors, training corpora and licence.
"""

import io
import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

import affekt
from affekt.atomic_write import atomic_write
from affekt.audio.windows import SAMPLE_RATE, WINDOW
from affekt.errors import ModelError, writing
from affekt.model.classifier import Classifier, fold_batch_norms, load_classifier, trunk_digest
from affekt.model.onnx_passes import fold_pads

FORMAT = 1  # of the metadata
OPSET = 17
PRECISIONS = ("float16", "float32")
TOLERANCE = 1e-4  # between probabilities of ONNX Runtime and of PyTorch
NOISE = 1e-2  # under test tones: without it, empty mel bands would hold rounding errors alone
NETWORK = "model.pt"  # in a fold's folder
HALVED = 1024  # numbers; smaller arrays are not stored as float16


class _Step(nn.Module):
    """Call :meth:`Classifier.step` with positional state tensors, as the exporter needs.

    A network with speaker normalization has one more input after the windows: ``adapt``.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, windows: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        names = self.classifier.state
        adapt, state = others[: -len(names)], others[-len(names) :]
        outputs, after = self.classifier.step(windows, dict(zip(names, state, strict=True)), *adapt)
        return *outputs.values(), *(after[name].reshape(shape) for name, shape in names.items())


def find_network(run: Path, fold: int | None = None) -> Path:
    """Find the checkpoint of a run, of one of its folds, or return the checkpoint itself.

    Raises:
        ModelError: no such folder or trained fold, or several folds and ``fold`` is None.
    """
    if not run.exists():
        raise ModelError(f"{run} must be the folder of a run. Got nothing there. Name another.")
    for file in (run, run / NETWORK):
        if fold is None and file.is_file():
            return file
    found = {file.parent.name: file for file in sorted(run.glob(f"fold-*/{NETWORK}"))}
    wanted = list(found) if fold is None else [f"fold-{fold}"]
    if len(wanted) != 1 or wanted[0] not in found:
        remedy = "Choose a trained one with --fold" if found else "Train one with affekt run"
        raise ModelError(
            f"{run} must hold one trained network{'' if fold is None else f' of fold {fold}'}. "
            f"Got {', '.join(found) or 'none'}. {remedy}."
        )
    return found[wanted[0]]


def export(
    source: Path,
    target: Path,
    *,
    name: str,
    precision: str = "float16",
    temperature: float = 1.0,
    temperature_known: float | None = None,
) -> float:
    """Write the model file of a trained network and check that its probabilities are the same.

    Args:
        source: ``model.pt`` of a fold.
        target: the ``.onnx`` file to write.
        name: of the model.
        precision: ``float16`` stores weights as float16 and computes in float32: same speed, half
            the size. ``float32`` stores them unchanged.
        temperature: above 0; divides the logits (temperature scaling).
        temperature_known: temperature with a full profile; the same by default.

    Returns:
        The largest difference between probabilities of ONNX Runtime and PyTorch.

    Raises:
        ModelError: no such network, a precision or temperature that is not allowed, a difference
            above 1e-4, or a file that cannot be written.
    """
    if precision not in PRECISIONS:
        raise ModelError(
            f"precision of export must be one of {', '.join(PRECISIONS)}. Got {precision!r}. "
            f"Choose one of them."
        )
    known = temperature if temperature_known is None else temperature_known
    if not (0 < temperature < math.inf and 0 < known < math.inf):
        raise ModelError(
            f"temperatures of export must be above 0 and finite. Got {temperature} and {known}. "
            f"Use 1 for uncalibrated probabilities."
        )
    classifier, facts = load_classifier(source)
    classifier.temperature.fill_(temperature)
    classifier.temperature_known.fill_(known)
    try:
        metadata = json.dumps(describe(classifier, facts, name))
    except KeyError as error:
        raise ModelError(
            f"{source} must name its recipe and corpora. Got no {error}. Train it with affekt run."
        ) from error
    return write_network(classifier, metadata, target, precision=precision)


def write_network(
    classifier: Classifier, metadata: str, target: Path, *, precision: str = "float16"
) -> float:
    """Write the model file of a network in memory; see :func:`export`."""
    classifier = fold_batch_norms(classifier)
    if precision == "float16":
        round_to_halves(classifier)
    model = to_onnx(classifier)
    store_halves(model)
    difference = largest_difference(classifier, model.SerializeToString())
    if not difference <= TOLERANCE:
        raise ModelError(
            f"{target} must give the probabilities of the network within {TOLERANCE:g}. "
            f"Got {difference:.2g} apart. Nothing was written; train the network again."
        )
    helper.set_model_props(model, {"affekt": metadata})
    onnx.checker.check_model(model, full_check=True)
    with writing(target, ModelError), atomic_write(target) as part:
        part.write_bytes(model.SerializeToString())
    return difference


@torch.no_grad()
def round_to_halves(classifier: Classifier) -> None:
    """Round every weight to the nearest float16, kept as float32."""
    for parameter in classifier.parameters():
        parameter.copy_(parameter.half())


def to_onnx(classifier: Classifier) -> onnx.ModelProto:
    """Trace :meth:`~affekt.model.classifier.Classifier.step` as an ONNX graph.

    Raises:
        ModelError: state tensors of the head have names that other tensors of the graph have.
    """
    start = {name: state[0] for name, state in classifier.start(1).items()}
    inputs = {"windows": torch.zeros(3, WINDOW)}
    inputs |= {"adapt": torch.zeros(1)} if classifier.speaker else {}
    answers = (*answers_of(classifier), "embedding")
    parts = (classifier.loudness, classifier.speaker)
    taken = {*inputs, *answers, *(name for part in parts if part for name in part.state)}
    taken |= {f"{name}_next" for name in start}
    if same := taken & {*classifier.head.state}:
        raise ModelError(
            f"state tensors of head {classifier.architecture.head!r} must have names of their own "
            f"in the graph. Got {', '.join(sorted(same))}, as other tensors are named. Rename them."
        )
    inputs |= start
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter based on torch.export (torch 2.13) cannot export an LSTM over a variable
        # number of windows. The one based on tracing can, and warns that it is deprecated.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Step(classifier).eval(),
            tuple(inputs.values()),
            stream,  # type: ignore[arg-type]  # takes streams too
            input_names=list(inputs),
            output_names=[*answers, *(f"{name}_next" for name in start)],
            dynamic_axes={key: {0: "windows"} for key in ("windows", *answers)},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_model_from_string(stream.getvalue())
    fold_pads(model)
    return model


def answers_of(classifier: Classifier) -> tuple[str, ...]:
    """Names of the outputs with probabilities, one for each time constant of the head."""
    return ("probabilities", "recent")[: len(classifier.architecture.decays)]


def store_halves(model: onnx.ModelProto) -> None:
    """Store large arrays as float16 where that loses nothing; loading casts them to float32."""
    casts = []
    for stored in model.graph.initializer:
        values = numpy_helper.to_array(stored)
        if values.dtype != np.float32 or values.size < HALVED:
            continue
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if np.array_equal(halves.astype(np.float32), values):
            name = stored.name
            stored.CopyFrom(numpy_helper.from_array(halves, f"{name}_half"))
            casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)


def describe(classifier: Classifier, facts: dict[str, Any], name: str) -> dict[str, Any]:
    """Describe the model: the metadata of its file."""
    architecture, speaker = classifier.architecture, classifier.speaker
    return {
        "format": FORMAT,
        "name": name,
        "labels": list(architecture.labels),
        "sample_rate": SAMPLE_RATE,
        "window": WINDOW,
        "architecture": architecture.stored(),
        "hop": architecture.hop,
        "temperature": classifier.temperature.item(),
        "temperature_known": classifier.temperature_known.item(),
        "tail": architecture.last_window,
        "state": [{"name": n, "shape": list(s)} for n, s in classifier.state.items()],
        "profile": speaker
        and {
            "of": trunk_digest(classifier),
            "steps": classifier.trunk.steps,
            "state": list(speaker.state),
        },
        "corpora": facts["corpora"],
        "licence": "; ".join(sorted({corpus["licence"] for corpus in facts["corpora"]})),
        "encoder": facts.get("encoder", ""),
        "recipe": facts["digest"],
        "version": affekt.__version__,
    }


def largest_difference(classifier: Classifier, content: bytes) -> float:
    """Compare ONNX Runtime with PyTorch on a stream of silent, soft and loud windows.

    Returns the largest difference between probabilities; NaN if one is not a number.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    time = torch.arange(WINDOW) / SAMPLE_RATE
    tones = torch.stack([torch.sin(2 * math.pi * f * time) for f in (120.0, 440.0, 3_000.0)])
    differences = []
    state = {name: tensor[0] for name, tensor in classifier.start(1).items()}
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    adapt = {"adapt": np.ones(1, np.float32)} if classifier.speaker else {}
    for level in (0.0, 1e-3, 0.1, 1.0):
        windows = torch.randn(8, WINDOW, generator=generator)
        windows[:3] *= NOISE
        windows[:3] += tones
        windows *= level
        with torch.inference_mode():
            expected, state = classifier.step(windows, state, torch.ones(1))
        found = session.run(None, {"windows": windows.numpy(), **adapt, **arrays})
        arrays = dict(zip(state, found[-len(state) :], strict=True))
        for name, values in zip(answers_of(classifier), found, strict=False):
            differences.append(np.abs(values - expected[name].numpy()).max())
    return float(np.max(differences))  # keeps NaN, unlike Python's max
