"""Test the npm package as users take it: packed, installed, bundled, in a real browser."""

import json
import re
import shutil
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import soundfile

import affekt
from affekt.inference.profile import profile_of
from chromium_session import needs_browser, opened, run_npm
from conftest import QuietHandler

pytestmark = needs_browser
ROOT = Path(__file__).parents[1]
DOCS = (ROOT / "docs" / "integrate" / "browser.md").read_text()
MODELS = ROOT / "src" / "affekt" / "models"
VITE = "vite@8.4.0"
HTML = '<!doctype html><title>Site</title><script type="module" src="main.js"></script>'
#: Make the functions of the docs' code callable from the test.
CALLABLE = "Object.assign(window, { startMicrophone: start, stopMicrophone: stop });"
STOPPED = "return window.stopMicrophone().then((profile) => [...(profile ?? [])]);"
#: Stop the microphone while it starts, and tell whether it is on.
STOPPED_EARLY = """
const { mediaDevices } = navigator;
const ask = mediaDevices.getUserMedia.bind(mediaDevices);
let media;
mediaDevices.getUserMedia = async (wish) => (media = await ask(wish));
window.startMicrophone();
return window.stopMicrophone().then(() => media.getTracks()[0].readyState);
"""


class StrictHandler(QuietHandler):
    """Serve files with the content security policy that the docs name."""

    def end_headers(self) -> None:
        """Add the policy."""
        (policy,) = re.findall(r"`(script-src .*?)`", DOCS)
        self.send_header("Content-Security-Policy", f"default-src 'self'; {policy}")
        super().end_headers()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of Vite with the package, and the code of the docs."""
    folder = tmp_path_factory.mktemp("project")
    source = folder / "source" / "web"
    shutil.copytree(ROOT / "web", source, ignore=shutil.ignore_patterns("node_modules"))
    for name in ("LICENSE", "NOTICE.md"):
        shutil.copy(ROOT / name, source.parent)
    (packed,) = json.loads(run_npm(source, "pack", "--json", "--pack-destination", str(folder)))
    assert {"LICENSE", "NOTICE.md", "affekt.d.ts"} <= {each["path"] for each in packed["files"]}
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    quick = ("--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund")
    run_npm(folder, "install", *quick, f"./{packed['filename']}", VITE)
    sums = dict(reversed(each.split()) for each in (MODELS / "SHA256SUMS").read_text().splitlines())
    code = "\n".join([*re.findall(r"```js\n(.*?)```", DOCS, re.DOTALL), CALLABLE])
    (folder / "main.js").write_text(code.replace("DIGEST", sums["affekt.onnx"]))
    (folder / "index.html").write_text(HTML)
    (folder / "public").mkdir()
    shutil.copy(MODELS / "affekt.onnx", folder / "public")
    sound = np.asarray(affekt.read(ROOT / "samples" / "lively.flac"))
    soundfile.write(folder / "public" / "recording.wav", sound, 16_000, subtype="FLOAT")
    run_npm(folder, "exec", "vite", "build")
    return folder


def test_the_bundled_package_answers_as_python(project: Path, tmp_path: Path) -> None:
    site = partial(StrictHandler, directory=str(project / "dist"))
    with ThreadingHTTPServer(("127.0.0.1", 0), site) as server, opened(tmp_path) as page:
        Thread(target=server.serve_forever, daemon=True).start()
        browser = page.browser
        browser.get(f"http://127.0.0.1:{server.server_port}")
        page.wait(lambda: browser.execute_script("return document.body.textContent"))
        found = json.loads(browser.execute_script("return document.body.textContent"))
        page.wait(lambda: browser.execute_script("return 'startMicrophone' in window"))
        assert browser.execute_script(STOPPED_EARLY) == "ended"
        browser.execute_script("window.startMicrophone()")
        page.wait(lambda: " s: " in browser.title)
        profile = profile_of(bytes(browser.execute_script(STOPPED)))
        told = page.errors()
        server.shutdown()
    recording = project / "public" / "recording.wav"
    expected = affekt.load(adapt=True, limits=None).predict(recording)
    assert [each["label"] for each in found] == [each.label for each in expected.segments]
    for one, other in zip(found, expected.segments, strict=True):
        assert one["probabilities"] == pytest.approx(other.probabilities, abs=1e-3)
    assert profile.seconds > 0
    assert [each for each in told if "favicon" not in each] == []
