"""Convert the speaker encoder of Resemblyzer to the ONNX file that affekt ships.

    pip download --no-deps resemblyzer==0.1.4
    python benchmarks/speaker_encoder.py Resemblyzer-0.1.4-py3-none-any.whl --data DATA

The graph takes power spectra ``(windows, frames, 201)`` of frames of 25 ms every 10 ms, and returns
embeddings ``(windows, 256)`` of length 1. Weights are stored as float16 and computed as float32.
The largest difference to PyTorch on random spectra is printed; above 5e-3, nothing is written.

Embeddings of one speaker change with emotion. So the graph subtracts the mean and removes the six
directions in which embeddings differ most within speakers (nuisance attribute projection): both
are measured on RAVDESS actors 1 to 12.

Source: Wan et al., "Generalized End-to-End Loss for Speaker Verification" (2018); Jemine,
"Resemblyzer" (Apache-2.0), trained on LibriSpeech-other, VoxCeleb1 and VoxCeleb2; Solomonoff,
Campbell & Boardman, "Advances in Channel Compensation for SVM Speaker Recognition" (2005).
"""

import io
import zipfile
from pathlib import Path

import librosa
import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import affekt
from affekt.corpora import Manifest, load
from affekt.inference.speakers.speaker_encoder import power_spectra, windows_of
from affekt.inference.speech.vad import CHUNK, ChunkDetector, SpeechFinder
from arguments import parser_of

DEVELOPMENT = {f"ravdess:{actor:02}" for actor in range(1, 13)}
NUISANCES = 6  # chosen on these speakers
HIDDEN, FRAMES, BINS, BANDS, LAYERS = 256, 160, 201, 40, 3
FILE = "src/affekt/inference/speakers/speaker_encoder.onnx"
Weights = dict[str, NDArray[np.float32]]


def weights_of(wheel: Path) -> Weights:
    with zipfile.ZipFile(wheel) as archive:
        content = io.BytesIO(archive.read("resemblyzer/pretrained.pt"))
    state = torch.load(content, map_location="cpu", weights_only=True)["model_state"]
    return {name: values.numpy() for name, values in state.items()}


def onnx_gates(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Reorder PyTorch's gates (input, forget, cell, output) as ONNX has them (i, o, f, c)."""
    i, f, c, o = np.split(values, 4)
    return np.concatenate([i, o, f, c])


def graph_of(
    weights: Weights, mean: NDArray[np.float32] | None = None, projection: NDArray | None = None
) -> onnx.ModelProto:
    """Build the graph: mel bands, three LSTM layers, the last state, ReLU, length 1.

    With a mean ``(256,)`` and a projection ``(256, 6)``, these are removed, and the length is 1.
    """
    nodes, stored = [], []

    def half(name: str, values: NDArray[np.floating]) -> str:
        stored.append(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        nodes.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
        return name

    mels = librosa.filters.mel(sr=16_000, n_fft=400, n_mels=BANDS)
    scale = np.float32(2.0**10)  # float16 has few digits below 6e-5
    stored.append(numpy_helper.from_array(np.array(1 / scale, np.float32), "scale"))
    nodes.append(helper.make_node("MatMul", ["power", half("mel", mels.T * scale)], ["scaled"]))
    nodes.append(helper.make_node("Mul", ["scaled", "scale"], ["bands"]))
    nodes.append(helper.make_node("Transpose", ["bands"], ["x0"], perm=[1, 0, 2]))
    stored.append(numpy_helper.from_array(np.array([1], np.int64), "direction"))
    stored.append(numpy_helper.from_array(np.array([0], np.int64), "first"))
    for n in range(LAYERS):
        given = half(f"w{n}", onnx_gates(weights[f"lstm.weight_ih_l{n}"])[None])
        before = half(f"r{n}", onnx_gates(weights[f"lstm.weight_hh_l{n}"])[None])
        biases = [onnx_gates(weights[f"lstm.bias_{kind}_l{n}"]) for kind in ("ih", "hh")]
        bias = half(f"b{n}", np.concatenate(biases)[None])
        outputs = [f"y{n}", f"last{n}"]
        nodes.append(
            helper.make_node("LSTM", [f"x{n}", given, before, bias], outputs, hidden_size=HIDDEN)
        )
        nodes.append(helper.make_node("Squeeze", [f"y{n}", "direction"], [f"x{n + 1}"]))
    nodes.append(helper.make_node("Squeeze", [f"last{LAYERS - 1}", "first"], ["state"]))
    nodes.append(
        helper.make_node(
            "Gemm",
            ["state", half("w", weights["linear.weight"]), half("b", weights["linear.bias"])],
            ["linear"],
            transB=1,
        )
    )
    nodes.append(helper.make_node("Relu", ["linear"], ["positive"]))
    length = {"axis": 1, "p": 2}
    if mean is None or projection is None:
        nodes.append(helper.make_node("LpNormalization", ["positive"], ["embedding"], **length))
    else:
        nodes.append(helper.make_node("LpNormalization", ["positive"], ["unit"], **length))
        nodes.append(helper.make_node("Sub", ["unit", half("mean", mean)], ["centered"]))
        down, up = half("down", projection), half("up", projection.T.copy())
        nodes.append(helper.make_node("MatMul", ["centered", down], ["low"]))
        nodes.append(helper.make_node("MatMul", ["low", up], ["nuisance"]))
        nodes.append(helper.make_node("Sub", ["centered", "nuisance"], ["kept"]))
        nodes.append(helper.make_node("LpNormalization", ["kept"], ["embedding"], **length))
    graph = helper.make_graph(
        nodes,
        "speaker_encoder",
        [helper.make_tensor_value_info("power", TensorProto.FLOAT, ["windows", "frames", BINS])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["windows", HIDDEN])],
        stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model.doc_string = "Resemblyzer 0.1.4, Apache-2.0, Corentin Jemine"
    onnx.checker.check_model(model, full_check=True)
    return model


def largest_difference(model: onnx.ModelProto, weights: Weights) -> float:
    """Compare the graph with PyTorch on random spectra of various levels."""
    rng = np.random.default_rng(0)
    power = rng.exponential(size=(16, FRAMES, BINS)) * 10 ** rng.uniform(-6, 2, (16, 1, 1))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found = session.run(None, {"power": power.astype(np.float32)})[0]
    lstm = torch.nn.LSTM(BANDS, HIDDEN, LAYERS, batch_first=True)
    tensors = {k: torch.from_numpy(v) for k, v in weights.items()}
    lstm.load_state_dict({k[5:]: v for k, v in tensors.items() if k.startswith("lstm.")})
    bands = power @ librosa.filters.mel(sr=16_000, n_fft=400, n_mels=BANDS).T
    with torch.no_grad():
        last = lstm(torch.from_numpy(bands.astype(np.float32)))[1][0][-1]
        linear = torch.nn.functional.linear(last, tensors["linear.weight"], tensors["linear.bias"])
        expected = torch.nn.functional.normalize(torch.relu(linear)).numpy()
    return float(np.abs(found - expected).max())


def nuisance(
    model: onnx.ModelProto, manifest: Manifest
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Measure the mean embedding and the directions that vary most within speakers."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found: dict[str, list[NDArray[np.float32]]] = {}
    for clip in manifest.clips:
        if clip.speaker not in DEVELOPMENT:
            continue
        sound = affekt.read(manifest.root / clip.file, channel=clip.channel)
        detector, finder = ChunkDetector(), SpeechFinder()
        chunks = [*detector.push(sound), *detector.end()]
        ended = [speech for _, chance in chunks for speech in finder.push(chance)]
        for speech in [*ended, *finder.end()]:
            said = sound[speech.first * CHUNK : speech.end * CHUNK]
            power = np.stack([power_spectra(window) for window in windows_of(said)])
            mean = session.run(None, {"power": power})[0].mean(axis=0)
            found.setdefault(clip.speaker, []).append(mean / np.linalg.norm(mean))
    speakers = [np.stack(each) for each in found.values()]
    within = sum((each - each.mean(axis=0)).T @ (each - each.mean(axis=0)) for each in speakers)
    _, directions = np.linalg.eigh(within)
    return np.concatenate(speakers).mean(axis=0), directions[:, -NUISANCES:]


def main() -> None:
    parser = parser_of(__doc__, data="ravdess", output=FILE)
    parser.add_argument("wheel", type=Path, help="Resemblyzer-0.1.4-py3-none-any.whl")
    chosen = parser.parse_args()
    weights = weights_of(chosen.wheel)
    model = graph_of(weights)
    difference = largest_difference(model, weights)
    print(f"largest difference to PyTorch: {difference:.1e}")
    if difference > 5e-3:
        raise SystemExit(1)
    mean, projection = nuisance(model, load("ravdess", chosen.data / "ravdess"))
    chosen.output.write_bytes(graph_of(weights, mean, projection).SerializeToString())


if __name__ == "__main__":
    main()
