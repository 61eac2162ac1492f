"""Test the pretrained weight files: search, download, digests, and every value."""

import gc
import hashlib
import struct
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import h5py
import numpy as np
import pooch
import pytest
import torch
from numpy.typing import NDArray

from affekt.cli import main
from affekt.errors import ModelError
from affekt.model.pretrained import OFFICIAL, Published, check_digest, download, find, folders
from affekt.model.yamnet import LAYERS, YAMNet
from affekt.model.yamnet_weights import load_yamnet, read_h5, read_tflite

NAMES = tuple(OFFICIAL)
PATCHES = torch.zeros(2, 96, 64)
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The two folders that are looked in, both empty."""
    named, cache = tmp_path / "named", tmp_path / "cache"
    named.mkdir()
    cache.mkdir()
    monkeypatch.setenv("AFFEKT_WEIGHTS", str(named))
    monkeypatch.setattr(pooch, "os_cache", lambda _: cache)
    return named, cache


def publish(monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, address: str = "") -> None:
    """Have some content count as the official file of a name."""
    known = Published(hashlib.sha256(content).hexdigest(), address or OFFICIAL[name].address)
    monkeypatch.setitem(OFFICIAL, name, known)


def one_line(error: pytest.ExceptionInfo[ModelError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


# ------------------------------------------------------------------------------- finding


def test_named_folder_comes_before_the_cache(places: tuple[Path, Path]) -> None:
    assert folders() == places
    for folder in reversed(places):
        (folder / "yamnet.tflite").touch()
        assert find() == folder / "yamnet.tflite"


def test_without_the_variable_only_the_cache(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (places[0] / "yamnet.tflite").touch()
    monkeypatch.setenv("AFFEKT_WEIGHTS", "")
    assert folders() == places[1:]
    monkeypatch.delenv("AFFEKT_WEIGHTS")
    assert folders() == places[1:]
    with pytest.raises(ModelError):
        find()


def test_variable_may_name_the_file(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = places[0] / "yamnet.tflite"
    file.touch()
    monkeypatch.setenv("AFFEKT_WEIGHTS", str(file))
    assert find() == file


def test_path_is_the_only_place(places: tuple[Path, Path], tmp_path: Path) -> None:
    for folder in places:
        (folder / "yamnet.h5").touch()
    own = tmp_path / "own"
    own.mkdir()
    with pytest.raises(ModelError) as error:
        find("yamnet.h5", own)
    assert str(own) in one_line(error)
    (own / "yamnet.h5").touch()
    assert find("yamnet.h5", own) == find("yamnet.h5", str(own / "yamnet.h5")) == own / "yamnet.h5"
    with pytest.raises(ModelError):
        find("yamnet.tflite", own / "yamnet.h5")


def test_nothing_found_says_where_and_what_to_do(places: tuple[Path, Path]) -> None:
    (places[0] / "yamnet.tflite").mkdir()
    with pytest.raises(ModelError) as error:
        find()
    message = one_line(error)
    for word in (*map(str, places), "affekt weights --download", OFFICIAL["yamnet.tflite"].address):
        assert word in message


@pytest.mark.parametrize("act", [find, download, lambda name: check_digest(Path(name))])
def test_other_names_are_refused(act: Callable[[str], object]) -> None:
    with pytest.raises(ModelError, match=r"yamnet\.tflite, yamnet\.h5, .* Got 'vggish\.h5'"):
        act("vggish.h5")


@pytest.mark.parametrize("name", NAMES)
def test_digest_is_the_published_one(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"TFL3 or so")
    with pytest.raises(ModelError) as error:
        check_digest(tmp_path / name)
    assert OFFICIAL[name].digest in one_line(error)
    assert hashlib.sha256(b"TFL3 or so").hexdigest() in str(error.value)


def test_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="must be readable"):
        check_digest(tmp_path / "yamnet.h5")


# --------------------------------------------------------------------------- downloading


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serves ``tmp_path/served/yamnet.h5`` on this machine; gives its address."""
    served = tmp_path / "served"
    served.mkdir()
    (served / "yamnet.h5").write_bytes(bytes(range(256)) * 4_000)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served))) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}/yamnet.h5"
        http.shutdown()
        thread.join()


def test_download_keeps_the_right_file(
    places: tuple[Path, Path], server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytes(range(256)) * 4_000
    publish(monkeypatch, "yamnet.h5", content, server)
    for _ in range(2):  # the second time it is there
        file = download("yamnet.h5")
        assert file == places[1] / "yamnet.h5"
        assert file.read_bytes() == content
    assert find("yamnet.h5") == file
    check_digest(file)


def test_download_heals_a_changed_file(
    places: tuple[Path, Path], server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, "yamnet.h5", bytes(range(256)) * 4_000, server)
    (places[1] / "yamnet.h5").write_bytes(b"changed")
    check_digest(download("yamnet.h5"))


def test_download_keeps_no_other_file(
    places: tuple[Path, Path], server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, "yamnet.h5", b"something else", server)
    with pytest.raises(ModelError) as error:
        download("yamnet.h5")
    assert "not kept" in one_line(error)
    assert not list(places[1].iterdir())


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # pooch leaves a refused answer open
@pytest.mark.parametrize("fault", ["offline", "no such page"])
def test_download_without_a_network_says_what_to_do(
    fault: str, places: tuple[Path, Path], server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "http://127.0.0.1:9/yamnet.h5" if fault == "offline" else f"{server}.gz"
    publish(monkeypatch, "yamnet.h5", b"", address)
    with pytest.raises(ModelError) as error:
        download("yamnet.h5")
    message = one_line(error)
    assert address in message
    assert "AFFEKT_WEIGHTS" in message
    assert not list(places[1].iterdir())
    del error
    gc.collect()


def test_command_shows_every_place(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    assert main(["weights"]) == 1
    output, complaint = capsys.readouterr()
    assert [line.split()[0] for line in output.splitlines()] == ["missing"] * 2 * len(OFFICIAL)
    assert complaint.count("\n") == 1
    publish(monkeypatch, "yamnet.h5", b"12345")
    for folder, content in zip(places, (b"", b"12345"), strict=True):
        (folder / "yamnet.h5").write_bytes(content)
    assert main(["weights", "yamnet.h5"]) == 0
    output, complaint = capsys.readouterr()
    first, second = (line.split() for line in output.splitlines())
    assert first == ["changed", "0", "bytes", str(places[0] / "yamnet.h5")]
    assert second == ["official", "5", "bytes", str(places[1] / "yamnet.h5")]
    assert not complaint


def test_command_downloads(
    places: tuple[Path, Path], server: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    publish(monkeypatch, "yamnet.h5", bytes(range(256)) * 4_000, server)
    assert main(["weights", "--download", "yamnet.h5"]) == 0
    assert capsys.readouterr().out == f"{places[1] / 'yamnet.h5'}\n"
    publish(monkeypatch, "yamnet.tflite", b"", "http://127.0.0.1:9/yamnet.tflite")
    assert main(["weights", "--download"]) == 2
    output, complaint = capsys.readouterr()
    assert not output
    assert complaint.startswith("affekt: yamnet.tflite must be reachable")
    assert complaint.count("\n") == 1
    assert main(["weights", "vggish.h5"]) == 2


# ----------------------------------------------------------------------------- yamnet.h5


def keras_layers() -> list[tuple[str, bool]]:
    """Keras' names of the 27 convolutions in order, and whether each is depthwise."""
    rest = [
        (f"layer{number}/{kind}_conv", kind == "depthwise")
        for number in range(2, 15)
        for kind in ("depthwise", "pointwise")
    ]
    return [("layer1/conv", False), *rest]


def keras_values() -> dict[str, NDArray[np.float32]]:
    """Every dataset of a file of YAMNet's Keras layout, each number another one."""
    values = {}
    channels, next_number = 1, 1.0

    def numbers(*shape: int) -> NDArray[np.float32]:
        nonlocal next_number
        count = int(np.prod(shape))
        first, next_number = next_number, next_number + count
        return np.arange(first, first + count, dtype=np.float32).reshape(shape)

    for (name, depthwise), layer in zip(keras_layers(), LAYERS, strict=True):
        size = 1 if "pointwise" in name else 3
        if depthwise:
            values[f"{name}/{name}/depthwise_kernel:0"] = numbers(size, size, channels, 1)
        else:
            values[f"{name}/{name}/kernel:0"] = numbers(size, size, channels, layer.channels)
        for kind in ("beta", "moving_mean", "moving_variance"):
            values[f"{name}/bn/{name}/bn/{kind}:0"] = numbers(layer.channels)
        channels = layer.channels
    values["logits/logits/kernel:0"] = numbers(1_024, 521)
    values["logits/logits/bias:0"] = numbers(521)
    return values


@pytest.fixture(scope="module")
def values() -> dict[str, NDArray[np.float32]]:
    return keras_values()


def write_h5(file: Path, values: dict[str, NDArray[np.float32]]) -> Path:
    """As Keras writes it: a group a layer, named, and the layer's weights below, named in full."""
    with h5py.File(file, "w") as stream:
        stream.attrs["backend"] = "tensorflow"
        for path, value in values.items():
            stream.create_dataset(path, data=value)
    return file


@pytest.mark.parametrize("blocks", [13, 5, 1])
def test_h5_values_land_where_they_belong(
    blocks: int,
    values: dict[str, NDArray[np.float32]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert max(value.max() for value in values.values()) < 2**24  # float32 tells all apart
    file = write_h5(tmp_path / "yamnet.h5", values)
    publish(monkeypatch, "yamnet.h5", file.read_bytes())
    network = YAMNet(relu_max=float("inf"), blocks=blocks)
    load_yamnet(network, PATCHES, "yamnet.h5", tmp_path)
    layers = keras_layers()[: 1 + 2 * blocks]
    for row, (name, depthwise) in zip(network.rows, layers, strict=True):
        kernel = row.convolution.weight.detach().numpy()
        norm = f"{name}/bn/{name}/bn"
        if depthwise:
            stored = values[f"{name}/{name}/depthwise_kernel:0"]
            expected = np.einsum("hwcm->cmhw", stored)
        else:
            stored = values[f"{name}/{name}/kernel:0"]
            expected = np.einsum("hwio->oihw", stored)
        np.testing.assert_array_equal(kernel, expected)
        np.testing.assert_array_equal(row.norm.bias.detach(), values[f"{norm}/beta:0"])
        for ours, theirs in (("running_mean", "moving_mean"), ("running_var", "moving_variance")):
            np.testing.assert_array_equal(row.norm.get_buffer(ours), values[f"{norm}/{theirs}:0"])
        np.testing.assert_array_equal(row.norm.weight.detach(), 1)


def test_h5_gives_kerass_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One separable block in NumPy, from the file's own numbers, beside the network's."""
    rng = np.random.default_rng(6)
    values = {path: rng.uniform(0.1, 0.3, value.shape) for path, value in keras_values().items()}
    network = YAMNet(relu_max=float("inf")).eval()
    network.load_state_dict(read_h5(write_h5(tmp_path / "yamnet.h5", values)))
    x = rng.normal(size=(48, 32, 32))
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    near = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))

    def normed(y: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        beta, mean, variance = (
            values[f"{name}/bn/{name}/bn/{kind}:0"]
            for kind in ("beta", "moving_mean", "moving_variance")
        )
        return np.maximum((y - mean) / np.sqrt(variance + 1e-4) + beta, 0)

    name = "layer2/depthwise_conv"
    y = normed(
        np.einsum("tfchw,hwcm->tfc", near, values[f"{name}/{name}/depthwise_kernel:0"]), name
    )
    name = "layer2/pointwise_conv"
    y = normed(np.einsum("tfi,hwio->tfo", y, values[f"{name}/{name}/kernel:0"]), name)
    with torch.inference_mode():
        found = network.layers[1:3](torch.from_numpy(x.transpose(2, 0, 1)[None]).float())[0]
    np.testing.assert_allclose(found.numpy().transpose(1, 2, 0), y, rtol=2e-4, atol=2e-4)


def shorten(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def replace(path: str, value: object) -> Callable[[Path], object]:
    def fault(file: Path) -> None:
        with h5py.File(file, "r+") as stream:
            del stream[path]
            if value is not None:
                stream[path] = value

    return fault


KERNEL = "layer3/pointwise_conv/layer3/pointwise_conv/kernel:0"
LAST = "layer14/pointwise_conv/bn/layer14/pointwise_conv/bn/moving_variance:0"
H5_FAULTS = {
    "truncated": shorten,
    "no HDF5": lambda file: file.write_bytes(b"weights" * 1_000),
    "empty": lambda file: file.write_bytes(b""),
    "missing layer": replace("layer3", None),
    "missing value": replace(LAST, None),
    "transposed": replace(KERNEL, np.zeros((1, 1, 128, 64), np.float32)),
    "one axis less": replace(KERNEL, np.zeros((1, 64, 128), np.float32)),
    "too long": replace(LAST, np.ones(1_025, np.float32)),
    "words": replace(LAST, np.array([b"one"] * 1_024)),
}


@pytest.mark.parametrize("fault", H5_FAULTS.values(), ids=H5_FAULTS)
def test_h5_is_all_or_nothing(
    fault: Callable[[Path], object],
    values: dict[str, NDArray[np.float32]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = write_h5(tmp_path / "yamnet.h5", values)
    fault(file)
    publish(monkeypatch, "yamnet.h5", file.read_bytes())  # so that more than the digest is tried
    assert_untouched(tmp_path, "yamnet.h5")


def assert_untouched(folder: Path, name: str) -> str:
    """Loading is refused in one line, and no number of the network has changed."""
    network = YAMNet()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(ModelError) as error:
        load_yamnet(network, PATCHES, name, folder)
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key])
    assert name in one_line(error)
    return one_line(error)


def test_h5_of_another_digest_is_refused(
    values: dict[str, NDArray[np.float32]], tmp_path: Path
) -> None:
    write_h5(tmp_path / "yamnet.h5", values)
    assert "SHA-256" in assert_untouched(tmp_path, "yamnet.h5")


# ------------------------------------------------------------------------- yamnet.tflite


def test_tflite_holds_27_convolutions(weights: Path) -> None:
    check_digest(weights)
    kernels = read_tflite(weights)
    assert len(kernels) == 27
    for (kernel, bias), row in zip(kernels, YAMNet().rows, strict=True):
        assert kernel.shape == tuple(row.convolution.weight.shape)
        assert kernel.dtype == bias.dtype == np.float32
        # One scale a channel: each reaches int8's end, and its numbers are whole multiples.
        channels = kernel.reshape(len(kernel), -1)
        steps = channels / (np.abs(channels).max(axis=1, keepdims=True) / 127)
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)


@pytest.mark.parametrize("blocks", [5, 1])
def test_a_cut_network_starts_as_the_whole_one(blocks: int, weights: Path) -> None:
    patches = torch.randn(20, 96, 64, generator=torch.Generator().manual_seed(0)) - 3
    whole, cut = YAMNet(), YAMNet(blocks=blocks)
    for network in (whole, cut):
        load_yamnet(network, patches, path=weights)
    for name, value in cut.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name])


TFLITE_FAULTS = {
    "truncated": lambda content: content[: len(content) // 2],
    "header only": lambda content: content[:8],
    "empty": lambda _: b"",
    "text": lambda _: b"weights" * 1_000,
    "noise after the header": lambda content: content[:64] + b"\xff\x7f" * 5_000,
}


@pytest.mark.parametrize("published", [False, True], ids=["other digest", "bytes alone"])
@pytest.mark.parametrize("fault", TFLITE_FAULTS.values(), ids=TFLITE_FAULTS)
def test_tflite_is_all_or_nothing(
    fault: Callable[[bytes], bytes],
    published: bool,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = fault(weights.read_bytes())
    (tmp_path / "yamnet.tflite").write_bytes(content)
    if published:
        publish(monkeypatch, "yamnet.tflite", content)
    assert ("SHA-256" in assert_untouched(tmp_path, "yamnet.tflite")) != published


def test_tflite_with_one_bit_changed_is_refused(weights: Path, tmp_path: Path) -> None:
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "yamnet.tflite").write_bytes(content)
    assert "SHA-256" in assert_untouched(tmp_path, "yamnet.tflite")


def test_another_network_is_refused(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole TFLite file whose third kernel is 32 frames high."""
    published, other = struct.pack("<4i", 64, 1, 1, 32), struct.pack("<4i", 64, 32, 1, 1)
    content = weights.read_bytes()
    assert content.count(published) == 1
    content = content.replace(published, other)
    (tmp_path / "yamnet.tflite").write_bytes(content)
    publish(monkeypatch, "yamnet.tflite", content)
    assert "27 convolutions in order" in assert_untouched(tmp_path, "yamnet.tflite")
