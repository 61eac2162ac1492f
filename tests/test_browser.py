"""Test the page without a service in a real browser: its predictions equal the library's."""

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from selenium.webdriver.common.by import By

import affekt
from affekt.inference.profile import profile_of, read_profile
from chromium_session import Page, needs_browser, opened, visited
from conftest import QuietHandler
from synthetic_network import made_sound, own_model

pytestmark = needs_browser
ROOT = Path(__file__).parents[1]
PARTS = ("examples/browser", "web", "src/affekt/service/page", "src/affekt/models")  # of the page
VECTORS = json.loads((ROOT / "docs" / "artefacts" / "vectors.json").read_text())
RATE = 16_000
#: Load a model in the page; the code of a test follows.
LOADED = """
const [file, ...given] = arguments;
const done = given.pop();
(async () => {
  const { Stream, load, readProfile, writeProfile } = await import("./affekt/affekt.js");
  const model = await load(file);
  const refused = (work) => work.then((found) => found, (error) => error.message);
"""
#: Predict audio in blocks, then nothing, then the audio again, and once with the profile.
ANSWERS = """
  const [sound, piece, adapt] = given;
  const voice = new Stream(model, { adapt });
  const found = [];
  for (let from = 0; from < sound.length; from += piece) {
    found.push(...await voice.push(sound.slice(from, from + piece)));
  }
  found.push(...await voice.flush());
  const known = new Stream(model, { profile: voice.profile });
  return [
    found,
    await voice.flush(),
    [...await voice.push(sound), ...await voice.flush()],
    await known.push(sound),
  ];
"""
#: Cause errors, and predict the audio with the same stream.
REFUSALS = """
  const [sound] = given;
  const voice = new Stream(model);
  const told = [await refused(voice.push([NaN])), await refused(voice.push([0, -1e25]))];
  const half = await voice.push(sound.slice(0, 20000));
  const { run } = model;
  const spoilt = (share) => async (inputs) => {
    const found = await run(inputs);
    found.probabilities[found.probabilities.length - 1] = share;
    return found;
  };
  const broken = async () => { throw new Error("broken"); };
  for (model.run of [spoilt(NaN), spoilt(1.5), broken]) {
    told.push(await refused(voice.push(sound.slice(20000))), await refused(voice.flush()));
  }
  model.run = run;
  return [told, [...half, ...await voice.push(sound.slice(20000)), ...await voice.flush()]];
"""
#: Close a model while it works, use it, and close it again.
CLOSED = """
  const [worker, sound] = given;
  const own = await load(file, { worker });
  const voice = new Stream(own);
  const last = voice.push(sound);
  await own.close();
  const later = [sound, [0]].map((samples) => refused(voice.push(samples)));
  return [(await last).length, ...await Promise.all(later), await refused(own.close())];
"""
#: Hold all predictions of the page until `release` is called.
HELD = """
const done = arguments[0];
import("./affekt/affekt.js").then(({ Stream }) => {
  const { push } = Stream.prototype;
  const released = new Promise((go) => { window.release = go; });
  Stream.prototype.push = async function (samples) {
    const found = await push.call(this, samples);
    window.held ||= found.length > 0;
    await released;
    return found;
  };
}).then(done);
"""
#: Resample a tone in blocks as the microphone does in Firefox, from 44.1 to 16 kHz.
RESAMPLED = """
const done = arguments[0];
import("./affekt/resampler.js").then(({ Resampler }) => {
  const resampler = new Resampler(44100, 16000);
  const tone = Float32Array.from({ length: 44100 }, (_, at) => Math.sin((2 * Math.PI * at) / 44.1));
  const blocks = [tone.slice(0, 7), tone.slice(7, 5000), tone.slice(5000)];
  done(blocks.flatMap((block) => [...resampler.push(block)]));
});
"""
#: Stop the microphone in its first call, while samples wait, and count the calls.
STOPPED = """
const done = arguments[0];
import("./affekt/microphone.js").then(async ({ startMicrophone }) => {
  let calls = 0;
  const microphone = await startMicrophone(() => {
    const end = performance.now() + (calls++ ? 0 : 500);
    while (performance.now() < end);
    microphone.stop();
  });
  const wait = () => setTimeout(calls ? () => done(calls) : wait, 1000);
  wait();
});
"""
#: Read a file that the page saves in a later task, as Safari does.
SAVED = """
const done = arguments[0];
HTMLAnchorElement.prototype.click = function () {
  setTimeout(() => fetch(this.href).then((found) => found.text()).then(done, done));
};
import("./charts.js").then(({ save }) => save("a.txt", "content"));
"""
#: Look for a new version of the page; read the name of the model and the number of caches.
CACHED = """
const done = arguments[0];
(async () => {
  await (await navigator.serviceWorker.getRegistration())?.update();
  const { state } = navigator.serviceWorker.controller ?? {};
  const model = await (await caches.match("model"))?.json();
  return [state, model?.name, (await caches.keys()).length];
})().then(done, done);
"""
#: Fail as Firefox does if the microphone has another sample rate.
FIREFOX = """
const { createMediaStreamSource } = AudioContext.prototype;
AudioContext.prototype.createMediaStreamSource = function (media) {
  if (this.sampleRate === 16000) throw new DOMException("not supported", "NotSupportedError");
  return createMediaStreamSource.call(this, media);
};
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, node_modules: Path) -> Path:
    """Build the page as a user does, and add a second model."""
    tree = tmp_path_factory.mktemp("tree")
    made = shutil.ignore_patterns("node_modules", "dist")
    for part in PARTS:
        shutil.copytree(ROOT / part, tree / part, ignore=made)
    example = tree / "examples" / "browser"
    (tree / "web" / "node_modules").symlink_to(node_modules)
    subprocess.run(["node", "build.mjs"], cwd=example, check=True)
    own_model(example / "dist")
    return example / "dist"


@contextmanager
def served(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(QuietHandler, directory=str(folder))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with served(site) as there:
        yield there


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with opened(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture
def page(browser: Page, address: str) -> Iterator[Page]:
    with visited(browser, address) as page:
        yield page


def vector_sound(samples: int = VECTORS["sound"]["samples"]) -> np.ndarray:
    """Compute the audio of the test vectors from its formula."""
    t = np.arange(samples) / VECTORS["sound"]["rate"]
    names = {"sin": np.sin, "pi": np.pi, "t": t}
    formula = VECTORS["sound"]["formula"].partition(",")[0]
    return np.asarray(eval(formula, {"__builtins__": {}}, names), np.float32)


def work(page: Page, what: str, *given: Any) -> Any:
    """Run code with a model in the page; return its result, or its error as a text."""
    script = f"{LOADED}{what}}})().then(done, (error) => done(String(error)));"
    return page.browser.execute_async_script(script, *given)


def close(found: list[dict[str, Any]], expected: Sequence[affekt.Segment]) -> bool:
    assert [each["label"] for each in found] == [each.label for each in expected]
    for one, other in zip(found, expected, strict=True):
        assert (one["start"], one["end"]) == pytest.approx((other.start, other.end))
        assert one["probabilities"] == pytest.approx(other.probabilities, abs=1e-3)
        assert one.get("recent") == pytest.approx(other.recent, abs=1e-3)
    return True


@pytest.mark.parametrize(
    ("samples", "piece"),
    [(3_000, 7_001), (15_600, 7_001), (31_100, 7_001)]
    + [(192_000, piece) for piece in (160, 7_001, 192_000)],  # more windows than a run takes
)
@pytest.mark.parametrize("file", ["affekt.onnx", "own.onnx"])
def test_a_stream_in_the_page_equals_one_in_python(
    page: Page, site: Path, file: str, samples: int, piece: int
) -> None:
    sound = vector_sound(samples)
    predictor = affekt.load(site / file, adapt=True, limits=None)
    answers = work(page, ANSWERS, file, sound.tolist(), piece, True)
    assert not isinstance(answers, str), answers
    found, none, again, known = answers
    assert close(found, predictor.predict(sound, sample_rate=RATE).segments)
    assert none == []
    stream = predictor.stream()
    stream.flush(sound)
    assert close(again, stream.flush(sound))
    person = predictor.enroll([sound], sample_rate=RATE)
    assert close(known, affekt.load(site / file, profile=person, limits=None).stream().push(sound))


def test_the_page_reproduces_the_test_vectors(page: Page) -> None:
    for name, adapt in (("nobody known", False), ("learned as it is heard", True)):
        sound = vector_sound().tolist()
        found, *_ = work(page, ANSWERS, "affekt.onnx", sound, 7_001, adapt)
        shares = [[each["probabilities"][label] for label in VECTORS["labels"]] for each in found]
        np.testing.assert_allclose(shares, VECTORS["probabilities"][name], atol=1e-3)


def test_an_error_leaves_a_stream_unchanged(page: Page) -> None:
    sound = vector_sound()
    told, found = work(page, REFUSALS, "affekt.onnx", sound.tolist())
    assert (
        told[:2]
        == ["Samples must be finite, at most 8388608. Got others. Check the audio source."] * 2
    )
    number = "The model must return a number in [0, 1] for each label. Got others. Export it again."
    assert told[2:] == [number] * 4 + ["broken"] * 2
    assert close(found, affekt.load(limits=None).predict(sound, sample_rate=RATE).segments)


@pytest.mark.parametrize("worker", [False, True])
def test_a_closed_model_says_so(page: Page, worker: bool) -> None:
    told = "The model is closed. Load it again."
    assert work(page, CLOSED, "own.onnx", worker, [0.0] * 15_600) == [1, told, told, None]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (('"format": 1', '"format": 2'), "format must be 1. Got 2."),
        (('"sample_rate": 16000', '"sample_rate": 44100'), "sample_rate must be 16000."),
        (('"window": 15600', '"window": 15601'), "window must be 15600. Got 15601."),
        (('"format"', '"former"'), "format must be 1. Got undefined."),
        (("affekt", "effekt"), "must be a file that affekt export wrote"),
    ],
)
def test_other_files_are_not_loaded(
    page: Page, site: Path, change: tuple[str, str], fault: str
) -> None:
    old, new = (text.encode() for text in change)
    (site / "other.onnx").write_bytes((site / "own.onnx").read_bytes().replace(old, new))
    assert fault in work(page, "", f"other.onnx?{fault}")  # the browser has seen none of this name


def test_a_profile_works_only_with_its_kind_of_model(page: Page) -> None:
    person = {"of": "another", "state": {}}
    found = work(page, "new Stream(model, { profile: given[0] });", "own.onnx", person)
    assert "must be of the same kind of model" in found
    assert "Got another. Create the profile again." in found
    silent = "const voice = new Stream(model); return voice.profile ?? null;"
    assert work(page, silent, "own.onnx") is None


def recording(page: Page, file: Path, sound: np.ndarray, profile: Path | None = None) -> None:
    """Predict a recording in the page, and compare with the library."""
    soundfile.write(file, sound, RATE, subtype="FLOAT")
    page.at("file").send_keys(str(file))
    done = re.compile(r"(\d+) of \1 recordings? (is|are) done\.")
    page.wait(lambda: done.fullmatch(page.at("progress").text))
    expected = affekt.load(adapt=True, limits=None, profile=profile).predict(file)
    short = page.at("results").find_elements(By.TAG_NAME, "li")[-1].text
    share = expected.segments[-1].probabilities[expected.segments[-1].label]
    assert re.fullmatch(
        rf"{file.name} {expected.segments[-1].label} {100 * share:.0f} % [\d.]+ s", short
    )
    answers = page.saved("save-results", "recordings.csv")
    *_, row = csv.DictReader(answers.read_text().splitlines())
    answers.unlink()
    assert float(row["duration"]) == pytest.approx(expected.duration, abs=1e-3)
    for label, probability in expected.segments[-1].probabilities.items():
        assert float(row[f"p_{label}"]) == pytest.approx(probability, abs=1e-3)


def nothing_shown(page: Page) -> bool:
    now = page.at("label")
    return now.text == "microphone off" and not now.get_attribute("style")


def test_recordings_are_predicted_in_the_page(page: Page, tmp_path: Path) -> None:
    recording(page, tmp_path / "said.wav", vector_sound())
    recording(page, tmp_path / "also.wav", made_sound(5.0, pitch=250.0))
    assert not page.at("reset").is_enabled()
    (tmp_path / "text.wav").write_text("no sound at all")
    page.at("file").send_keys(str(tmp_path / "text.wav"))
    page.wait(lambda: "Convert it to WAV or MP3" in page.at("results").text)
    assert nothing_shown(page)


def test_the_microphone_is_predicted_in_the_page(page: Page, tmp_path: Path) -> None:
    page.at("microphone").click()
    page.wait(lambda: page.at("label").text in VECTORS["labels"])
    assert page.at("microphone").text == "Stop microphone"
    note = "The model runs in this page. No audio leaves it."
    assert page.at("status").text == f"The microphone is on. {note}"
    page.at("microphone").click()
    assert page.at("microphone").text == "Start microphone"
    assert page.at("status").text == "The microphone is off."
    assert nothing_shown(page)
    assert page.at("save").is_enabled()
    recording(page, tmp_path / "said.wav", vector_sound())  # whoever spoke before
    kept = read_profile(page.saved("save-profile", "voice.profile"))
    page.at("microphone").click()  # once more: the profile is still the speaker's
    page.wait(lambda: page.at("label").text in VECTORS["labels"])
    page.at("microphone").click()
    (page.downloads / "voice.profile").unlink()
    assert read_profile(page.saved("save-profile", "voice.profile")).seconds > kept.seconds
    (page.downloads / "voice.profile").unlink()
    page.at("reset").click()
    assert not page.at("reset").is_enabled()
    assert not page.at("save-profile").is_enabled()


def test_a_loaded_profile_is_used_for_recordings(page: Page, tmp_path: Path) -> None:
    affekt.load().enroll([made_sound(8.0)], sample_rate=RATE).save(tmp_path / "me.profile")
    page.at("profile").send_keys(str(tmp_path / "me.profile"))
    recording(page, tmp_path / "said.wav", vector_sound(), profile=tmp_path / "me.profile")
    page.at("reset").click()
    recording(page, tmp_path / "said.wav", vector_sound())
    (tmp_path / "text.profile").write_text("no profile")
    page.at("profile").send_keys(str(tmp_path / "text.profile"))
    page.at("microphone").click()
    page.wait(lambda: "must be a profile that affekt wrote" in page.at("status").text)
    assert nothing_shown(page)


def test_the_page_fits_all_screens_and_is_accessible(page: Page, axe: Path, tmp_path: Path) -> None:
    assert page.faults(axe) == []
    recording(page, tmp_path / f"{'a_very_long_name_' * 9}.wav", vector_sound())
    assert page.faults(axe) == []


def test_stop_drops_predictions_on_their_way(page: Page) -> None:
    page.browser.execute_async_script(HELD)
    page.at("microphone").click()
    page.wait(lambda: page.browser.execute_script("return window.held;"))
    page.at("microphone").click()
    page.browser.execute_async_script("window.release(); setTimeout(arguments[0], 100);")
    assert nothing_shown(page)
    assert not page.at("save").is_enabled()
    assert page.at("save-profile").is_enabled()  # what was learned is not lost


def test_the_page_can_be_installed_and_works_offline(
    browser: Page, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []

    def note(handler: QuietHandler, code: int, *_: object) -> None:
        sent.extend([handler.path] * (code == 200))

    monkeypatch.setattr(QuietHandler, "log_request", note)
    with served(site) as there:
        browser.browser.get(there)
        browser.wait(lambda: browser.at("microphone").is_enabled())
        active = "return navigator.serviceWorker.controller?.state === 'activated'"
        browser.wait(lambda: browser.browser.execute_script(active))
        told = browser.browser.execute_cdp_cmd("Page.getInstallabilityErrors", {})
        assert told["installabilityErrors"] == []
        large = ("/affekt.onnx", "/runtime/ort-wasm-simd-threaded.wasm")
        assert [sent.count(path) for path in large] == [1, 1]  # 24 MB, not 48
    browser.browser.get(there)  # from the cache: there is no server
    browser.wait(lambda: browser.at("microphone").is_enabled())
    recording(browser, tmp_path / "said.wav", vector_sound(31_100))
    browser.at("microphone").click()
    browser.wait(lambda: browser.at("label").text in VECTORS["labels"])
    browser.errors()  # the browser looks for a newer service worker


def test_a_new_version_replaces_the_old_one_of_the_same_folder(
    browser: Page, site: Path, tmp_path: Path
) -> None:
    for folder in (tmp_path / "one", tmp_path / "two"):
        shutil.copytree(site, folder)
        for file in (*folder.rglob("*.onnx"), *folder.rglob("*.wasm")):
            file.write_bytes(b"")  # quicker: the page reports that it is incomplete
        for file in folder.rglob("*"):
            os.utime(file, (0, 0))  # old files stay in the browser's own cache for years
    with served(tmp_path) as there:

        def cached(folder: str, *expected: Any) -> bool:
            if not browser.browser.current_url.endswith(f"/{folder}/"):
                browser.browser.get(f"{there}/{folder}/")
            found = browser.browser.execute_async_script(CACHED)
            return bool(found == ["activated", *expected])

        browser.wait(lambda: cached("one", "affekt", 1))
        browser.wait(lambda: cached("two", "affekt", 2))
        for file in (tmp_path / "one" / "model", tmp_path / "one" / "service-worker.js"):
            file.write_text(
                re.sub(r'(?<="name":")affekt|[0-9a-f]{16}(?=["`])', "0", file.read_text())
            )
        browser.wait(lambda: cached("one", "0", 2))
        browser.wait(lambda: cached("two", "affekt", 2))
    browser.errors()


def test_saved_files_can_be_read_in_a_later_task(page: Page) -> None:
    assert page.browser.execute_async_script(SAVED) == "content"


def test_a_stopped_microphone_gives_no_samples(page: Page) -> None:
    assert page.browser.execute_async_script(STOPPED) == 1


def test_a_recording_that_is_not_there_is_named(page: Page) -> None:
    script = 'const { decode } = await import("./affekt/decoding.js");'
    script += 'return refused(decode(await fetch("none.wav")));'
    found = work(page, script, "own.onnx")
    assert re.search(r"/none\.wav cannot be fetched: 404 File not found\.$", found)
    page.errors()


def test_the_microphone_is_resampled_where_the_browser_does_not(page: Page) -> None:
    page.browser.execute_script(FIREFOX)
    page.at("microphone").click()
    page.wait(lambda: page.at("label").text in VECTORS["labels"])
    page.at("microphone").click()
    found = np.array(page.browser.execute_async_script(RESAMPLED))
    expected = np.sin(2 * np.pi * 1000 * np.arange(found.size) / RATE)
    assert found.size > 0.99 * RATE
    np.testing.assert_allclose(found[200:], expected[200:], atol=1e-3)


def test_profile_files_are_those_of_the_library(page: Page, site: Path, tmp_path: Path) -> None:
    predictor = affekt.load(site / "own.onnx", limits=None)
    person = predictor.enroll([vector_sound()], sample_rate=RATE)
    given = list(person.content())
    script = "return [...writeProfile(model, readProfile(model, new Uint8Array(given[0])))];"
    written = work(page, script, "own.onnx", given)
    again = profile_of(bytes(written))
    assert again.measure == person.measure
    assert again.weight == pytest.approx(person.weight, rel=1e-6)
    assert again.seconds == pytest.approx(person.seconds, rel=1e-3)
    stored = profile_of(person.content())  # in float16
    np.testing.assert_allclose(again.mean, stored.mean, rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(again.deviation, stored.deviation, rtol=2e-3, atol=5e-3)
    assert "must be a profile" in work(page, script, "own.onnx", given[:40])
    for function in ("getFloat16", "setFloat16"):
        found = work(page, f"delete DataView.prototype.{function}; {script}", "own.onnx", given)
        assert "must read and write float16" in found
        page.browser.refresh()


def test_a_model_with_another_digest_is_not_loaded(page: Page, site: Path) -> None:
    digest = hashlib.sha256((site / "own.onnx").read_bytes()).hexdigest()
    script = "return (await load(file, { sha256: given[0], worker: true })).metadata.labels;"
    assert work(page, script, "own.onnx", digest.upper()) == VECTORS["labels"]
    found = work(page, script, "own.onnx", "0" * 64)
    assert f"SHA-256 digest must be {'0' * 64}. Got {digest}." in found


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("affekt.onnx", "affekt.onnx cannot be fetched: 404"),
        ("model", "model cannot be fetched: 404"),
        ("worker.js", "worker cannot be started"),
        ("ort-wasm-simd-threaded.wasm", "no available backend found"),
    ],
)
def test_an_incomplete_page_is_reported(
    browser: Page, site: Path, tmp_path: Path, missing: str, told: str
) -> None:
    shutil.copytree(site, tmp_path / "dist", ignore=shutil.ignore_patterns(missing))
    with served(tmp_path / "dist") as there:
        browser.browser.get(there)
        browser.wait(lambda: "incomplete. Reload it." in browser.at("status").text)
    assert browser.at("model").text == "No model"
    assert told in browser.at("status").text
    assert not browser.at("microphone").is_enabled()
    assert browser.errors()
