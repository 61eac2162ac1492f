"""Find the real recordings and weights, and give them to tests as fixtures."""

import gc
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    import affekt

SAMPLES = Path(__file__).parents[1] / "samples"
Captured = pytest.CaptureFixture[str]
_SHARED = Path(__file__).parents[2] / "shared"

settings.register_profile("same each time", deadline=None, derandomize=True)
settings.load_profile("same each time")


def _folder(variable: str, beside: str) -> Path | None:
    """The folder that a variable names; empty means none, unset means the one beside the clone."""
    named = os.environ.get(variable, str(_SHARED / beside))
    return Path(named) if named and Path(named).is_dir() else None


DATA = _folder("AFFEKT_DATA", "data")
WEIGHTS = _folder("AFFEKT_WEIGHTS", "weights")


def pytest_collection() -> None:
    """Hide the real recordings from tests that do not ask for them: those must run anywhere."""
    for variable in ("AFFEKT_DATA", "AFFEKT_WEIGHTS"):
        os.environ.pop(variable, None)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that ask for real recordings or weights."""
    for item in items:
        if {"data", "weights"} & {*getattr(item, "fixturenames", ())}:
            item.add_marker("corpus")


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of real corpora (``ravdess``, ``emovo``, ``nemo``); the test is skipped without it."""
    if DATA is None:
        pytest.skip("no recordings: set AFFEKT_DATA to the folder that holds ravdess/")
    return DATA


@pytest.fixture(scope="session")
def weights() -> Path:
    """Google's ``yamnet.tflite``; the test is skipped without it."""
    if WEIGHTS is None or not (WEIGHTS / "yamnet.tflite").is_file():
        pytest.skip("no weights: set AFFEKT_WEIGHTS to the folder that holds yamnet.tflite")
    return WEIGHTS / "yamnet.tflite"


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """File of a model that answers at once; modules that test another one have their own."""
    from small_model import small_model

    return str(small_model(tmp_path_factory.mktemp("model") / "small.onnx"))


@pytest.fixture(scope="session")
def predictor(model: str) -> "affekt.Predictor":
    """That model, loaded with the defaults."""
    import affekt

    return affekt.load(model)


@pytest.fixture(scope="session")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dated recording of four hours: a command that has reached it does not end by itself."""
    import soundfile

    path = tmp_path_factory.mktemp("endless") / "memo 2025-12-31 08.15.wav"
    with soundfile.SoundFile(path, "w", 1_000, 1, subtype="PCM_U8") as file:
        file.buffer_write(bytes(2 * 14_400_000), "int16")
    return path


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the npm packages that ``web/`` needs; the test is skipped without npm."""
    from chromium_session import run_npm

    folder = tmp_path_factory.mktemp("npm")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(Path(__file__).parents[1] / "web" / name, folder)
    run_npm(folder, "ci", "--ignore-scripts", "--prefer-offline", "--no-audit")
    return folder / "node_modules"


@pytest.fixture(scope="session")
def axe(node_modules: Path) -> Path:
    """File of axe-core, which checks whether a page is accessible."""
    return node_modules / "axe-core" / "axe.min.js"


class QuietHandler(SimpleHTTPRequestHandler):
    """Serve files without a line for each request."""

    def log_message(self, *_: object) -> None:
        """Print nothing: pytest's output is for tests."""


def wait_until(true: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for what happens in another process or thread."""
    late = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < late, "it never came"
        time.sleep(0.005)


def hears_ctrl_c() -> None:
    """For ``preexec_fn``: shells start what runs in the background deaf to Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A Ray cluster of two nodes on this machine, one CPU each."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))  # to import what tests work with
    small = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args=small)
    nodes.add_node(num_cpus=1, object_store_memory=80_000_000)
    yield nodes
    nodes.shutdown()
    gc.collect()  # Ray's sockets, before another test is blamed for them
