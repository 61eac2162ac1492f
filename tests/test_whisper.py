"""Test the trunk ``whisper``: front end, encoder, weights, export and profiles."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import affekt
from affekt.audio.windows import FRAME, FRAME_HOP, PATCH, PATCH_HOP, sliding_windows
from affekt.cli import main
from affekt.errors import ModelError
from affekt.inference.graph import Graph, load_graph
from affekt.inference.profile import Profile
from affekt.model.architecture import Architecture
from affekt.model.classifier import Classifier, save_classifier
from affekt.model.pretrained import TURN_DETECTOR
from affekt.model.speaker_normalization import window_sums
from affekt.model.whisper import (
    BANDS,
    REFERENCE,
    SILENCE,
    STEPS,
    WhisperEncoder,
    WhisperLogMel,
    WindowContext,
    encoder_speech_shares,
)
from affekt.model.whisper_weights import (
    load_turn_detector,
    load_whisper,
    read_turn_detector,
)
from conftest import SAMPLES
from small_model import probabilities_by
from synthetic_network import FACTS, LABELS, Floats, made_sound, spread

WHISPER = {
    "trunk": "whisper",
    "head": "statistics",
    "hop": PATCH_HOP,
    "last_window": "pad",
    "loudness": "running",
    "speaker_normalization": True,
    "time_constant": 20.0,
    "ensemble_size": 2,
}
SAME = 1e-4  # between probabilities


@pytest.fixture(scope="module")
def network() -> Classifier:
    """A classifier with random weights whose probabilities differ between windows."""
    return whisper_network()


def whisper_network(**changes: Any) -> Classifier:
    torch.manual_seed(4)
    made = Classifier(Architecture(LABELS, **{**WHISPER, **changes})).eval()
    windows = torch.from_numpy(windows_of(20.0))
    with torch.inference_mode():
        start = {name: torch.zeros(1, *shape) for name, shape in made.state.items()}
        segments = made.loudness(made.front_end(windows)[None], start)[0][0]
        steps, shares = made.trunk(segments), made.shares(segments)
    if made.speaker:
        sums = window_sums(steps, shares)
        made.speaker.set_population({name: each.sum(0) for name, each in sums.items()})
    spread(made, steps.clone(), shares.clone())
    return made


@pytest.fixture(scope="module")
def model(network: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network, exported by the command with its defaults."""
    folder = tmp_path_factory.mktemp("whisper")
    save_classifier(network, folder / "model.pt", **FACTS)
    assert main(["export", str(folder), "-o", str(folder / "whisper.onnx")]) == 0
    return folder / "whisper.onnx"


@pytest.fixture(scope="module")
def graph(model: Path) -> Graph:
    return load_graph(model)


def windows_of(seconds: float) -> Floats:
    return sliding_windows(made_sound(seconds), hop=PATCH_HOP, last_window="pad").copy()


# ----------------------------------------------------------------------------- front end


def test_log_mels_are_librosas_of_frames_less_their_mean() -> None:
    windows = windows_of(4.0)
    found = WhisperLogMel()(torch.from_numpy(windows)).numpy()
    assert found.shape == (len(windows), PATCH, BANDS)
    mel = librosa.filters.mel(sr=16_000, n_fft=FRAME, n_mels=BANDS)
    for window, frames in zip(windows, found, strict=True):
        cut = librosa.util.frame(window, frame_length=FRAME, hop_length=FRAME_HOP)
        hann = librosa.filters.get_window("hann", FRAME)[:, None]
        spectrum = np.fft.rfft((cut - cut.mean(axis=0)) * hann, axis=0)
        expected = np.log10(np.maximum(mel @ np.abs(spectrum) ** 2, 10**-SILENCE)) + SILENCE
        np.testing.assert_allclose(frames, expected.T, atol=2e-3)


def test_digital_silence_is_zero() -> None:
    assert (WhisperLogMel()(torch.zeros(2, 15_600)) == 0).all()


def test_a_constant_offset_changes_nothing() -> None:
    windows = torch.from_numpy(windows_of(4.0))
    found = WhisperLogMel()(windows + 0.01)
    np.testing.assert_allclose(found, WhisperLogMel()(windows), atol=2e-3)


# --------------------------------------------------------------------- loudness and context


def start_of(context: WindowContext) -> dict[str, torch.Tensor]:
    return {name: torch.zeros(1, *shape) for name, shape in context.state.items()}


@pytest.mark.parametrize("before", [1, 2])
def test_a_segment_holds_the_windows_before(before: int) -> None:
    context = WindowContext(before, decay=1.0)
    noise = torch.rand(1, 5, PATCH, BANDS, generator=torch.Generator().manual_seed(0))
    patches = SILENCE + REFERENCE - 3 + noise
    segments, after = context(patches, start_of(context))
    assert segments.shape == (1, 5, (1 + before) * PATCH, BANDS)
    for window in range(before, 5):
        frames = patches[0, window - before : window + 1].flatten(0, 1)
        gain = (4 * segments[0, window] - 4) - (frames - SILENCE)
        assert gain.max() - gain.min() < 1e-4  # one gain for the whole segment
    kept = patches[:, 5 - before :].flatten(1, 2)
    assert torch.equal(after["context"], kept)


@torch.inference_mode()
def test_20_decibels_less_change_no_probability(network: Classifier) -> None:
    """Both levels are above the floor, below which loudness is not brought up further."""
    loud = 4 * torch.from_numpy(windows_of(8.0))
    state = {name: each[0] for name, each in network.start(1).items()}
    outputs, after = network.step(loud, state)
    expected = outputs["probabilities"]
    outputs, softer = network.step(0.1 * loud, state)
    found = outputs["probabilities"]
    assert expected.std(dim=0).max() > 0.05
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
    difference = (after["loudness_power"] / softer["loudness_power"]).log10()
    assert difference.item() == pytest.approx(2.0, abs=1e-3)


@settings(max_examples=40)
@given(level=st.floats(-10, 6), context=st.integers(0, 2), seed=st.integers(0, 9))
def test_speech_shares_are_in_0_1(level: float, context: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    segments = torch.randn(3, (1 + context) * PATCH, BANDS, generator=generator)
    shares = encoder_speech_shares((level + segments + 4) / 4)
    assert shares.shape == (3, STEPS)
    assert (shares >= 0).all()
    assert (shares <= 1).all()  # float32 rounds the share of a very loud frame to 1


# ---------------------------------------------------------------------- stream and batch

lengths = st.lists(st.integers(1, 4), min_size=1, max_size=4)


@torch.inference_mode()
@settings(max_examples=10)
@given(lengths=lengths, adapt=st.booleans())
def test_a_stream_gives_the_probabilities_of_a_file(
    network: Classifier, lengths: list[int], adapt: bool
) -> None:
    windows = torch.from_numpy(windows_of(20.0))[: sum(lengths)]
    told = torch.full((1,), float(adapt))
    state = {name: each[0] for name, each in network.start(1).items()}
    outputs, last = network.step(windows, state, told)
    expected = torch.cat(list(outputs.values()), dim=1)
    parts = []
    for part in torch.split(windows, lengths):
        found, state = network.step(part, state, told)
        parts.append(torch.cat(list(found.values()), dim=1))
    torch.testing.assert_close(torch.cat(parts), expected, atol=SAME, rtol=0)
    for name, value in state.items():
        torch.testing.assert_close(value, last[name], atol=1e-2, rtol=1e-4)


@settings(max_examples=10)
@given(lengths=lengths, adapt=st.booleans())
def test_an_exported_stream_gives_the_probabilities_of_a_file(
    graph: Graph, lengths: list[int], adapt: bool
) -> None:
    windows = windows_of(20.0)[: sum(lengths)]
    expected, _ = probabilities_by(graph, windows, graph.start, adapt=adapt)
    state, parts = graph.start, []
    for begin, end in pairwise([0, *np.cumsum(lengths)]):
        found, state = probabilities_by(graph, windows[begin:end], state, adapt=adapt)
        parts.append(found)
    np.testing.assert_allclose(np.concatenate(parts), expected, atol=SAME, rtol=0)


@torch.inference_mode()
def test_clips_of_a_batch_give_the_probabilities_of_each_alone(network: Classifier) -> None:
    sounds = [windows_of(seconds) for seconds in (3.0, 1.0, 6.0)]
    segments, alone = [], []
    for sound in sounds:
        windows = torch.from_numpy(sound)
        segments.append(network.loudness(network.front_end(windows)[None], network.start(1))[0][0])
        state = {name: each[0] for name, each in network.start(1).items()}
        alone.append(network.step(windows, state)[0]["probabilities"][-1])
    inputs, lengths = torch.cat(segments), torch.tensor([len(each) for each in sounds])
    together = network.read(network.trunk(inputs), network.shares(inputs), lengths)
    torch.testing.assert_close(together.softmax(1), torch.stack(alone), atol=SAME, rtol=0)


# ---------------------------------------------------------------------------- model file


def test_the_model_file_describes_its_state(graph: Graph, network: Classifier) -> None:
    assert graph.hop == PATCH_HOP
    assert {name: each.shape for name, each in graph.start.items()} == network.state
    assert graph.start["context"].shape == (PATCH, BANDS)
    assert graph.profile == ("speaker_weight", "speaker_sum", "speaker_square")
    assert graph.metadata["profile"]["steps"] == STEPS


def test_predict_takes_the_exported_model(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = str(next(SAMPLES.glob("*.flac")))
    assert main(["predict", sample, "--model", str(model), "--json"]) == 0
    assert '"label"' in capsys.readouterr().out


def test_a_profile_is_small_and_fits_its_own_trunk_only(model: Path, tmp_path: Path) -> None:
    predictor = affekt.load(model)
    profile = predictor.enroll([SAMPLES / "calm.flac"])
    profile.save(tmp_path / "own.profile")
    assert (tmp_path / "own.profile").stat().st_size < 20_000
    affekt.load(model, profile=tmp_path / "own.profile")
    other: Profile = affekt.load().enroll([SAMPLES / "calm.flac"])
    with pytest.raises(ModelError, match="Enroll again with this model"):
        affekt.load(model, profile=other)


@pytest.mark.parametrize("changes", [{"hop": 3_900}, {"loudness": "given"}, {"context": 0}])
def test_other_windows_than_the_encoders_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="needs loudness running, hop 15360 and a context"):
        Architecture(LABELS, **{**WHISPER, **changes})


# ------------------------------------------------------------------------------- weights


def untouched(encoder: WhisperEncoder, fault: Any) -> str:
    """The error of a load that must leave every weight as it was."""
    before = {name: each.clone() for name, each in encoder.state_dict().items()}
    with pytest.raises(ModelError) as error:
        fault()
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture(scope="module")
def turn_detector(weights: Path) -> Path:
    file = weights.with_name(TURN_DETECTOR)
    if not file.is_file():
        pytest.skip(f"no {TURN_DETECTOR} beside yamnet.tflite")
    return file


@pytest.mark.parametrize("content", [b"", b"ONNX", b"\x08\x08" + bytes(99)])
def test_another_file_changes_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / TURN_DETECTOR).write_bytes(content)
    encoder = WhisperEncoder(layers=2, context=1)
    message = untouched(encoder, lambda: load_turn_detector(encoder, tmp_path))
    assert "must have the published SHA-256" in message


@pytest.mark.parametrize("fault", ["truncated", "one bit"])
def test_a_damaged_turn_detector_changes_nothing(
    fault: str, turn_detector: Path, tmp_path: Path
) -> None:
    content = bytearray(turn_detector.read_bytes())
    if fault == "truncated":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 1
    (tmp_path / TURN_DETECTOR).write_bytes(content)
    encoder = WhisperEncoder(layers=2, context=1)
    message = untouched(encoder, lambda: load_turn_detector(encoder, tmp_path))
    assert "must have the published SHA-256" in message


def test_layers_follow_the_published_graph(turn_detector: Path, data: Path) -> None:
    """Outputs of layers 1 and 2 on one recording, beside those of the int8 graph."""
    import onnx
    import onnxruntime

    from affekt.audio.reading import read

    arrays = read_turn_detector(turn_detector)
    encoder = WhisperEncoder(layers=2, context=0)
    encoder.embed_positions = torch.nn.Embedding(400, 384)
    load_whisper(encoder.eval(), arrays)
    frames = torch.from_numpy(eight_seconds(read(sorted((data / "ravdess").rglob("*.flac"))[10])))
    proto, names = onnx.load(turn_detector), ["add_146", "add_268"]
    proto.graph.output.extend(onnx.helper.make_tensor_value_info(name, 1, None) for name in names)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    expected = session.run(names, {"input_features": frames[None].numpy()})
    gelu = torch.nn.functional.gelu
    with torch.inference_mode():
        x = gelu(encoder.conv2(gelu(encoder.conv1(frames[None])))).transpose(1, 2)
        x = x + encoder.embed_positions.weight
        for layer, theirs in zip(encoder.layers, expected, strict=True):
            x = layer(x)
            assert np.corrcoef(x.numpy().ravel(), theirs.ravel())[0, 1] >= 0.98


def eight_seconds(sound: Floats) -> Floats:
    """Whisper's own input features of the last 8 s: ``(80, 800)``."""
    padded = np.zeros(128_000, np.float32)
    padded[-len(sound) :] = sound[-128_000:]
    padded = (padded - padded.mean()) / np.sqrt(padded.var() + 1e-7)
    spectrum = librosa.stft(padded, n_fft=FRAME, hop_length=FRAME_HOP, pad_mode="reflect")
    mel = librosa.filters.mel(sr=16_000, n_fft=FRAME, n_mels=BANDS)
    power = mel @ np.abs(spectrum[:, :-1]) ** 2
    decades = np.log10(np.maximum(power, 1e-10))
    return ((np.maximum(decades, decades.max() - 8.0) + 4.0) / 4.0).astype(np.float32)
