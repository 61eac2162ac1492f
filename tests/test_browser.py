"""The model inside a page: what it answers there is what the library answers."""

import csv
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile
from filelock import FileLock

import affekt
from made_network import own_model
from real_browser import Page, needs_browser, opened

pytestmark = needs_browser
ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "browser"
VECTORS = json.loads((ROOT / "docs" / "artefacts" / "vectors.json").read_text())
RATE = 16_000
NPM = shutil.which("npm") or ""


def npm_answers() -> bool:
    """Whether npm is here and its registry within reach."""
    try:
        return (
            bool(NPM)
            and subprocess.run([NPM, "ping"], capture_output=True, timeout=30).returncode == 0
        )
    except subprocess.TimeoutExpired:
        return False


#: The answers to a sound in pieces, by a module of the page, to full precision.
ANSWERS = """
const [file, sound, adapt, done] = arguments;
(async () => {
  const { Stream, load } = await import("./affekt.js");
  const model = await load(new Uint8Array(await (await fetch(file)).arrayBuffer()));
  const voice = new Stream(model, { adapt });
  const found = [];
  for (let from = 0; from < sound.length; from += 7001) {
    found.push(...await voice.push(sound.slice(from, from + 7001)));
  }
  found.push(...await voice.flush());
  const again = new Stream(model, { person: voice.person });
  return [found, await again.push(sound)];
})().then(done, (error) => done(String(error)));
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing: pytest's output is for tests."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page as a user builds it, and a second model beside the shipped one."""
    if not npm_answers():
        pytest.skip("needs npm and its registry")
    with FileLock(tmp_path_factory.getbasetemp().parent / "npm.lock"):  # for all workers
        for command in (["ci", "--ignore-scripts"], ["run", "build"]):
            done = subprocess.run([NPM, *command], cwd=EXAMPLE, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        built = tmp_path_factory.mktemp("site") / "dist"
        shutil.copytree(EXAMPLE / "dist", built)
    own_model(built)
    return built


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with opened(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture
def page(browser: Page, address: str) -> Iterator[Page]:
    browser.browser.get(address)
    browser.wait(lambda: browser.at("listen").is_enabled())
    yield browser
    assert browser.faults() == []


def vector_sound() -> np.ndarray:
    """The sound whose formula stands among the test vectors."""
    t = np.arange(VECTORS["sound"]["samples"]) / VECTORS["sound"]["rate"]
    names = {"sin": np.sin, "pi": np.pi, "t": t}
    formula = VECTORS["sound"]["formula"].partition(",")[0]
    return np.asarray(eval(formula, {"__builtins__": {}}, names), np.float32)


def close(found: list[dict], expected: tuple[affekt.Segment, ...]) -> bool:
    assert [each["label"] for each in found] == [each.label for each in expected]
    for one, other in zip(found, expected, strict=True):
        assert (one["start"], one["end"]) == pytest.approx((other.start, other.end))
        assert one["probabilities"] == pytest.approx(other.probabilities, abs=1e-3)
    return True


@pytest.mark.parametrize("samples", [3_000, 15_600, 31_100, 72_000])
@pytest.mark.parametrize("file", ["affekt.onnx", "own.onnx"])
def test_a_stream_in_the_page_is_one_in_python(
    page: Page, site: Path, file: str, samples: int
) -> None:
    sound = vector_sound()[:samples]
    predictor = affekt.load(site / file, adapt=True)
    found = page.browser.execute_async_script(ANSWERS, file, sound.tolist(), True)
    assert not isinstance(found, str), found
    assert close(found[0], predictor.predict(sound, sample_rate=RATE).segments)
    person = predictor.enroll([sound], sample_rate=RATE)
    known = affekt.load(site / file, profile=person).stream()
    assert close(found[1], tuple(known.push(sound)))


def test_it_gives_the_test_vectors(page: Page) -> None:
    for name, adapt in (("nobody known", False), ("learned as it is heard", True)):
        sound = vector_sound().tolist()
        found, _ = page.browser.execute_async_script(ANSWERS, "affekt.onnx", sound, adapt)
        shares = [[each["probabilities"][label] for label in VECTORS["labels"]] for each in found]
        np.testing.assert_allclose(shares, VECTORS["probabilities"][name], atol=1e-3)


def test_what_is_no_model_is_refused(page: Page) -> None:
    found = page.browser.execute_async_script(ANSWERS, "page.css", [0.0], False)
    assert "must be a file that affekt export wrote" in found


def test_a_recording_is_heard_in_the_page(page: Page, tmp_path: Path) -> None:
    file, sound = tmp_path / "said.wav", vector_sound()
    soundfile.write(file, sound, RATE, subtype="FLOAT")
    page.at("file").send_keys(str(file))
    page.wait(lambda: "heard in" in page.at("about").text)
    expected = affekt.load(adapt=True).predict(file)
    assert page.at("now").text == expected.label
    with page.saved("keep", "answers.csv").open(newline="") as answers:
        rows = list(csv.DictReader(answers))
    for row, segment in zip(rows, expected.segments, strict=True):
        for label, probability in segment.probabilities.items():
            assert float(row[f"p_{label}"]) == pytest.approx(probability, abs=1e-3)
    assert page.colours("course") > len(expected.probabilities)
    (tmp_path / "text.wav").write_text("no sound at all")
    page.at("file").send_keys(str(tmp_path / "text.wav"))
    page.wait(lambda: "cannot be heard" in page.at("about").text)


def test_a_microphone_is_heard_in_the_page(page: Page) -> None:
    page.at("listen").click()
    page.wait(lambda: page.at("now").text in VECTORS["labels"])
    assert page.at("listen").text == "Stop"
    page.at("listen").click()
    assert page.at("listen").text == "Listen"
