"""Test both pages in Firefox, through its WebDriver BiDi: recordings, widths, accessibility."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import affekt
from chromium_session import PATIENCE, WIDTHS, Quiet

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox") or ""
pytestmark = pytest.mark.skipif(not FIREFOX, reason="needs Debian's firefox-esr")
ROOT = Path(__file__).parents[1]
RECORDING = ROOT / "samples" / "lively.flac"
READY = "document.getElementById('model').textContent.startsWith('Model ')"
DONE = "document.getElementById('progress').textContent.startsWith('1 of 1')"
CHECKED = "axe.run().then(({ violations }) => violations.map(({ id }) => id).join())"
BEYOND = "Math.max(0, document.documentElement.scrollWidth - innerWidth)"


class Tab:
    """A tab of Firefox, driven by messages of WebDriver BiDi."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._numbers = socket, count()
        self.send("session.new", capabilities={})
        self._tab = self.send("browsingContext.getTree")["contexts"][0]["context"]

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        self._socket.send(json.dumps(message))
        while (answer := json.loads(self._socket.recv(timeout=PATIENCE))).get("id") != number:
            pass
        assert answer["type"] == "success", answer
        return dict(answer["result"])

    def open(self, address: str) -> None:
        self.send("browsingContext.navigate", context=self._tab, url=address, wait="complete")

    def run(self, script: str) -> Any:
        answer = self.send(
            "script.evaluate",
            expression=script,
            target={"context": self._tab},
            awaitPromise=True,
        )
        assert answer["type"] == "success", answer
        return answer["result"].get("value")

    def wait(self, script: str) -> None:
        end = time.monotonic() + PATIENCE
        while not self.run(script):
            assert time.monotonic() < end, script
            time.sleep(0.1)

    def choose(self, file: Path) -> None:
        locator = {"type": "css", "value": "#file"}
        found = self.send("browsingContext.locateNodes", context=self._tab, locator=locator)
        element = {"sharedId": found["nodes"][0]["sharedId"]}
        self.send("input.setFiles", context=self._tab, element=element, files=[str(file)])

    def resize(self, width: int) -> None:
        size = {"width": width, "height": 900}
        self.send("browsingContext.setViewport", context=self._tab, viewport=size)


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    connect = pytest.importorskip("websockets.sync.client").connect
    profile = tmp_path_factory.mktemp("profile")
    words = [FIREFOX, "--headless", "--no-remote", "--profile", str(profile)]
    words.append("--remote-debugging-port=0")
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as firefox:
        assert firefox.stderr is not None
        told = next(line for line in firefox.stderr if "WebDriver BiDi listening" in line)
        Thread(target=firefox.stderr.read, daemon=True).start()
        with connect(f"{told.split()[-1]}/session", max_size=None) as socket:
            yield Tab(socket)
        firefox.terminate()


@pytest.fixture(params=["service", "browser"])
def address(request: pytest.FixtureRequest, node_modules: Path, tmp_path: Path) -> Iterator[str]:
    """Where the service's page is, or the one that needs no service."""
    if request.param == "service":
        words = [sys.executable, "-m", "affekt.cli", "serve", "--port", "0"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
            server.terminate()
        return
    for part in ("examples/browser", "web", "src/affekt/service/page", "src/affekt/models"):
        made = shutil.ignore_patterns("node_modules", "dist")
        shutil.copytree(ROOT / part, tmp_path / part, ignore=made)
    (tmp_path / "web" / "node_modules").symlink_to(node_modules)
    example = tmp_path / "examples" / "browser"
    subprocess.run(["node", "build.mjs"], cwd=example, check=True)
    site = partial(Quiet, directory=str(example / "dist"))
    with ThreadingHTTPServer(("127.0.0.1", 0), site) as server_of_files:
        Thread(target=server_of_files.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server_of_files.server_port}"
        server_of_files.shutdown()


def test_the_page_answers_as_python_and_is_accessible(tab: Tab, address: str, axe: Path) -> None:
    tab.open(address)
    tab.wait(READY)
    tab.choose(RECORDING)
    tab.wait(DONE)
    expected = affekt.load(adapt=True).predict(RECORDING)
    share = round(100 * expected.probabilities[expected.label])
    text = tab.run("document.querySelector('#results summary').textContent")
    assert text == f"lively.flac {expected.label} {share} % {expected.duration:.1f} s"
    tab.run("document.querySelector('details').open = true")
    tab.run(f"{axe.read_text()}; 0")
    for width in WIDTHS:
        tab.resize(width)
        assert tab.run(BEYOND) == 0
        assert tab.run(CHECKED) == ""
