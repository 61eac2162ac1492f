"""Test the pretrained weight files: search, download, digests, and every value."""

import gc
import hashlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import HTTPServer
from pathlib import Path

import numpy as np
import pooch
import pytest
import torch

from affekt.cli import main
from affekt.errors import ModelError
from affekt.model.pretrained import (
    OFFICIAL,
    TURN_DETECTOR,
    Published,
    download,
    find,
    folders,
)
from affekt.model.yamnet import YAMNet
from affekt.model.yamnet_weights import load_yamnet, read_tflite
from conftest import Captured, QuietHandler
from synthetic_corpus import make_corpus

NAMES = tuple(OFFICIAL)
PATCHES = torch.zeros(2, 96, 64)


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


def test_named_folder_comes_before_the_cache(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, "yamnet.tflite", b"")
    assert folders() == places
    for folder in reversed(places):
        (folder / "yamnet.tflite").touch()
        assert find("yamnet.tflite") == folder / "yamnet.tflite"


def test_without_the_variable_only_the_cache(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (places[0] / "yamnet.tflite").touch()
    monkeypatch.setenv("AFFEKT_WEIGHTS", "")
    assert folders() == places[1:]
    monkeypatch.delenv("AFFEKT_WEIGHTS")
    assert folders() == places[1:]
    with pytest.raises(ModelError):
        find("yamnet.tflite")


def test_variable_may_name_the_file(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, "yamnet.tflite", b"")
    file = places[0] / "yamnet.tflite"
    file.touch()
    monkeypatch.setenv("AFFEKT_WEIGHTS", str(file))
    assert find("yamnet.tflite") == file


def test_path_is_the_only_place(
    places: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, "yamnet.tflite", b"")
    for folder in places:
        (folder / "yamnet.tflite").touch()
    own = tmp_path / "own"
    own.mkdir()
    with pytest.raises(ModelError) as error:
        find("yamnet.tflite", own)
    assert str(own) in one_line(error)
    file = own / "yamnet.tflite"
    file.touch()
    assert find("yamnet.tflite", own) == find("yamnet.tflite", str(file)) == file
    with pytest.raises(ModelError):
        find(TURN_DETECTOR, file)


def test_missing_weights_are_reported_with_folders_and_remedy(places: tuple[Path, Path]) -> None:
    (places[0] / "yamnet.tflite").mkdir()
    with pytest.raises(ModelError) as error:
        find("yamnet.tflite")
    message = one_line(error)
    for word in (*map(str, places), "affekt weights --download", OFFICIAL["yamnet.tflite"].address):
        assert word in message


@pytest.mark.parametrize("act", [find, download])
def test_other_names_are_refused(act: Callable[[str], object]) -> None:
    with pytest.raises(ModelError, match=r"yamnet\.tflite, smart.* Got 'vggish.h5'"):
        act("vggish.h5")


@pytest.mark.parametrize("name", NAMES)
def test_digest_is_the_published_one(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"TFL3 or so")
    with pytest.raises(ModelError) as error:
        find(name, tmp_path)
    assert OFFICIAL[name].digest in one_line(error)
    assert hashlib.sha256(b"TFL3 or so").hexdigest() in str(error.value)


# --------------------------------------------------------------------------- downloading


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serves ``tmp_path/served/yamnet.tflite`` on this machine; gives its address."""
    served = tmp_path / "served"
    served.mkdir()
    (served / "yamnet.tflite").write_bytes(bytes(range(256)) * 4_000)

    with HTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(served))) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}/yamnet.tflite"
        http.shutdown()
        thread.join()


def test_download_keeps_the_right_file(
    places: tuple[Path, Path], server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytes(range(256)) * 4_000
    publish(monkeypatch, "yamnet.tflite", content, server)
    for _ in range(2):  # the second time it is there
        file = download("yamnet.tflite")
        assert file == places[1] / "yamnet.tflite"
        assert file.read_bytes() == content
    assert find("yamnet.tflite") == file


def test_download_heals_a_changed_file(
    places: tuple[Path, Path], server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, "yamnet.tflite", bytes(range(256)) * 4_000, server)
    (places[1] / "yamnet.tflite").write_bytes(b"changed")
    file = download("yamnet.tflite")
    assert find("yamnet.tflite") == file


def test_download_keeps_no_other_file(
    places: tuple[Path, Path], server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, "yamnet.tflite", b"something else", server)
    with pytest.raises(ModelError) as error:
        download("yamnet.tflite")
    assert "not kept" in one_line(error)
    assert not list(places[1].iterdir())


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # pooch leaves a refused answer open
@pytest.mark.parametrize("fault", ["offline", "no such page"])
def test_download_without_a_network_is_reported_with_a_remedy(
    fault: str, places: tuple[Path, Path], server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "http://127.0.0.1:9/yamnet.tflite" if fault == "offline" else f"{server}.gz"
    publish(monkeypatch, "yamnet.tflite", b"", address)
    with pytest.raises(ModelError) as error:
        download("yamnet.tflite")
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
    assert "--download yamnet.tflite; if this machine is offline, copy the file" in complaint
    assert main(["weights", TURN_DETECTOR]) == 1
    assert f"--download {TURN_DETECTOR}; " in capsys.readouterr().err
    publish(monkeypatch, "yamnet.tflite", b"12345")
    for folder, content in zip(places, (b"", b"12345"), strict=True):
        (folder / "yamnet.tflite").write_bytes(content)
    assert main(["weights", "yamnet.tflite"]) == 0
    output, complaint = capsys.readouterr()
    first, second = (line.split() for line in output.splitlines())
    assert first == ["changed", "0", "bytes", str(places[0] / "yamnet.tflite")]
    assert second == ["official", "5", "bytes", str(places[1] / "yamnet.tflite")]
    assert not complaint


def test_command_downloads(
    places: tuple[Path, Path], server: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    publish(monkeypatch, "yamnet.tflite", bytes(range(256)) * 4_000, server)
    assert main(["weights", "--download", "yamnet.tflite"]) == 0
    assert capsys.readouterr().out == f"{places[1] / 'yamnet.tflite'}\n"
    publish(monkeypatch, "yamnet.tflite", b"", "http://127.0.0.1:9/yamnet.tflite")
    assert main(["weights", "--download"]) == 2
    output, complaint = capsys.readouterr()
    assert not output
    assert complaint.startswith("affekt: yamnet.tflite must be reachable")
    assert f"and {places[1]} writable" in complaint  # which may be the reason
    assert complaint.count("\n") == 1
    assert main(["weights", "vggish.h5"]) == 2


def assert_untouched(folder: Path) -> str:
    """Loading is refused in one line, and no number of the network has changed."""
    network = YAMNet()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(ModelError) as error:
        load_yamnet(network, PATCHES, folder)
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key])
    assert "yamnet.tflite" in one_line(error)
    return one_line(error)


# ------------------------------------------------------------------------- yamnet.tflite


def test_tflite_holds_27_convolutions(weights: Path) -> None:
    kernels = read_tflite(find("yamnet.tflite", weights))
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


@pytest.mark.parametrize("content", [b"", b"weights" * 1_000, b"\x1c\0\0\0TFL3" + bytes(99)])
def test_another_file_changes_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "yamnet.tflite").write_bytes(content)
    assert "SHA-256" in assert_untouched(tmp_path)


@pytest.mark.parametrize("fault", ["truncated", "one bit"])
def test_a_damaged_tflite_changes_nothing(fault: str, weights: Path, tmp_path: Path) -> None:
    content = bytearray(weights.read_bytes())
    if fault == "truncated":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 1
    (tmp_path / "yamnet.tflite").write_bytes(content)
    assert "SHA-256" in assert_untouched(tmp_path)


ENCODER = """trunk = "whisper"
hop = 15360
last_window = "pad"
loudness = "running"
frozen = true
head = "statistics"
"""


@pytest.mark.parametrize(("name", "knobs"), {"yamnet.tflite": "", TURN_DETECTOR: ENCODER}.items())
def test_a_run_refuses_other_weights_in_one_line_before_it_begins(
    name: str, knobs: str, tmp_path: Path, capsys: Captured
) -> None:
    make_corpus(tmp_path / "ravdess", speakers=3)
    (tmp_path / name).write_bytes(b"damaged")
    (tmp_path / "mine.toml").write_text(f"partial = true\n{knobs}")
    words = {"--data": "ravdess", "--runs": "runs", "--weights": name}
    given = [each for word, path in words.items() for each in (word, str(tmp_path / path))]
    assert main(["run", str(tmp_path / "mine.toml"), *given]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{name} must have the published SHA-256" in line
    assert not (tmp_path / "runs").exists()
