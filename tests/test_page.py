"""Test the service's page in a real browser: microphone, recordings, profiles and errors."""

import csv
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
import soundfile
from selenium.webdriver.common.by import By

import affekt
from affekt.inference.profile import read_profile
from affekt.service.browser_model import RUNTIME
from chromium_session import Page, needs_browser, opened
from synthetic_network import made_sound, own_model

pytestmark = needs_browser
RATE = 16_000
LABELS = ("angry", "happy", "sad", "neutral")
ANSWERED = "return document.getElementById('save').disabled === false"
#: Read all bars at once.
SHARES = """
const shares = document.querySelectorAll("#bars .share");
return [...shares].map((each) => parseFloat(each.textContent));
"""
#: Count the colors of the chart of the first recording.
DRAWN = """
const canvas = document.querySelector("#results canvas");
const dots = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
return new Set(new Uint32Array(dots.buffer)).size;
"""
#: Give the test access to the microphone.
HOLD = """
const { mediaDevices } = navigator;
const ask = mediaDevices.getUserMedia.bind(mediaDevices);
mediaDevices.getUserMedia = async (wish) => (window.microphone = await ask(wish));
"""
#: Click elements at once, while the service still answers, and wait for its answers.
CLICKED = """
for (const id of arguments[0]) document.getElementById(id).click();
setTimeout(arguments[1], 2000);
"""
#: Check the digest of a model's file.
DIGEST = """
const done = arguments[0];
import("./affekt/model-file.js")
  .then(({ fetchModelFile }) => fetchModelFile(new Uint8Array(1), "0"))
  .catch((error) => done(error.message));
"""
#: Show a segment whose last seconds differ from the last 20, with the confidence of the service.
SHOWN = """
const [labels, recent, done] = arguments;
Promise.all([import("./charts.js"), fetch("model").then((found) => found.json())]).then(
  ([{ charts }, { min_confidence }]) => {
    charts(labels, min_confidence).show({ label: "angry", probabilities: recent, recent });
    done(["label", "lately"].map((id) => document.getElementById(id).textContent));
  },
);
"""
GONE = "window.microphone.getTracks()[0].dispatchEvent(new Event('ended'))"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own_model(tmp_path_factory.mktemp("model"))


@contextmanager
def served(model: Path, *options: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    words = [sys.executable, "-m", "affekt", "serve", "--port", "0", "--model", str(model)]
    words += options
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip(), server
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with opened(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture
def page(browser: Page, model: Path) -> Iterator[Page]:
    for left in (*browser.downloads.glob("*.csv"), *browser.downloads.glob("*.profile")):
        left.unlink()
    with served(model) as (address, _):
        browser.browser.get(address)
        browser.wait(lambda: browser.at("microphone").is_enabled())
        yield browser
    assert browser.errors() == []


def test_microphone_predictions_and_profile_are_saved(page: Page) -> None:
    page.at("microphone").click()
    page.wait(lambda: page.browser.execute_script(ANSWERED))
    page.wait(lambda: page.at("label").text in LABELS)
    shares = page.browser.execute_script(SHARES)
    assert sum(shares) == pytest.approx(100, abs=2)  # each is rounded
    page.wait(lambda: page.colors("chart") > len(LABELS))
    person = read_profile(page.saved("save-profile", "voice.profile"))
    assert person.seconds > 0

    page.at("microphone").click()
    assert page.at("label").text == "microphone off"
    (page.downloads / "voice.profile").unlink()
    page.wait(page.at("save-profile").is_enabled)  # what was learned is not lost
    assert read_profile(page.saved("save-profile", "voice.profile")).seconds >= person.seconds
    with page.saved("save", "predictions.csv").open(newline="") as file:
        first = list(csv.DictReader(file))
    assert list(first[0]) == ["start", "end", "label", *(f"p_{label}" for label in LABELS)]
    assert float(first[0]["start"]) == 0.0
    for row in first:
        own = {label: float(row[f"p_{label}"]) for label in LABELS}
        assert sum(own.values()) == pytest.approx(1, abs=1e-5)
        assert row["label"] in (*LABELS, "uncertain")

    page.at("microphone").click()  # once more: its times follow those of the first
    (page.downloads / "predictions.csv").unlink()
    page.wait(lambda: page.at("label").text in LABELS)
    page.at("microphone").click()
    with page.saved("save", "predictions.csv").open(newline="") as file:
        both = list(csv.DictReader(file))
    assert both[: len(first)] == first
    assert float(both[len(first)]["start"]) == pytest.approx(float(first[-1]["end"]), abs=2e-3)
    page.at("clear").click()
    assert not page.at("save").is_enabled()
    assert page.browser.execute_script(SHARES) == [0] * len(LABELS)
    assert page.at("label").text == "microphone off"


def test_the_last_seconds_are_uncertain_below_the_minimum_confidence(
    browser: Page, model: Path
) -> None:
    with served(model, "--min-confidence", "0.65") as (address, _):
        browser.browser.get(address)
        browser.wait(lambda: browser.at("microphone").is_enabled())
        for share, label in ((0.7, "sad"), (0.6, "uncertain")):
            recent = {"angry": 0.1, "happy": 0.1, "sad": share, "neutral": 0.8 - share}
            found = browser.browser.execute_async_script(SHOWN, list(LABELS), recent)
            assert found == [label, "Last 20 seconds: angry"]


def test_a_loaded_profile_is_used(page: Page, model: Path, tmp_path: Path) -> None:
    sound = made_sound(8.0)
    affekt.load(model).enroll([sound], sample_rate=RATE).save(tmp_path / "me.profile")
    page.at("profile").send_keys(str(tmp_path / "me.profile"))
    page.at("adapt").click()  # so that nothing is learned beside
    page.at("microphone").click()
    page.wait(lambda: page.browser.execute_script(ANSWERED))
    again = read_profile(page.saved("save-profile", "voice.profile"))
    page.at("microphone").click()
    assert again.seconds == read_profile(tmp_path / "me.profile").seconds

    knowing = affekt.load(model, profile=tmp_path / "me.profile")
    assert_predicted_as_by(knowing, page, tmp_path)


def test_recordings_are_predicted_as_by_the_library(
    page: Page, model: Path, tmp_path: Path
) -> None:
    assert_predicted_as_by(affekt.load(model, adapt=True), page, tmp_path)
    assert page.browser.execute_script(DRAWN) > len(LABELS)

    (tmp_path / "text.wav").write_text("no sound at all")
    both = f"{tmp_path / 'text.wav'}\n{tmp_path / 'said.wav'}"
    page.at("file").send_keys(both)
    page.wait(lambda: page.at("progress").text == "3 of 3 recordings are done.")
    _, fault, other = page.at("results").find_elements(By.TAG_NAME, "li")
    assert "is not audio" in fault.find_element(By.CLASS_NAME, "fault").text
    assert other.text.startswith("said.wav")
    assert any("422" in each for each in page.errors())  # which also empties the list
    with page.saved("save-results", "recordings.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert first == second
    assert first["file"] == "said.wav"
    page.at("clear-results").click()
    assert page.at("results").text == page.at("progress").text == ""


def test_an_answer_of_a_proxy_is_told(page: Page, tmp_path: Path) -> None:
    page.browser.execute_script("window.fetch = async () => new Response('<p>', { status: 413 })")
    (tmp_path / "said.wav").write_bytes(b"RIFF")
    page.at("file").send_keys(str(tmp_path / "said.wav"))
    page.wait(lambda: page.at("progress").text == "1 of 1 recording is done.")
    assert (
        page.at("results").text
        == "said.wav The service answered 413, and no JSON. Ask its operator."
    )


def assert_predicted_as_by(predictor: affekt.Predictor, page: Page, folder: Path) -> None:
    file = folder / "said.wav"
    soundfile.write(file, made_sound(5.0, 220.0), RATE)
    page.at("file").send_keys(str(file))
    page.wait(lambda: page.at("progress").text == "1 of 1 recording is done.")
    expected = predictor.predict(file)
    short = page.at("results").find_element(By.TAG_NAME, "summary")
    share = expected.probabilities.get(expected.label)
    shown = expected.label if share is None else f"{expected.label} {round(100 * share)} %"
    assert short.text == f"said.wav {shown} 5.0 s"
    short.click()
    long = page.at("results").find_element(By.TAG_NAME, "details")
    assert (expected.reason or "") in long.text
    shares = {
        bar.find_element(By.CLASS_NAME, "name").text: bar.find_element(By.CLASS_NAME, "share").text
        for bar in long.find_elements(By.CLASS_NAME, "bar")
    }
    for label, probability in expected.probabilities.items():
        assert int(shares[label].removesuffix(" %")) == pytest.approx(100 * probability, abs=0.51)


def test_a_profile_is_saved_although_the_microphone_is_stopped(page: Page) -> None:
    page.at("microphone").click()
    page.wait(lambda: page.browser.execute_script(ANSWERED))
    page.browser.execute_async_script(CLICKED, ["save-profile", "microphone"])
    file = page.downloads / "voice.profile"
    page.wait(lambda: file.exists() and file.stat().st_size)
    assert read_profile(file).seconds > 0


def test_another_profile_or_none_ends_that_of_the_microphone(
    page: Page, model: Path, tmp_path: Path
) -> None:
    affekt.load(model).enroll([made_sound(8.0)], sample_rate=RATE).save(tmp_path / "me.profile")
    page.at("microphone").click()
    page.wait(lambda: page.browser.execute_script(ANSWERED))
    page.saved("save-profile", "voice.profile")
    page.browser.execute_async_script(CLICKED, ["microphone", "reset"])
    assert not page.at("save-profile").is_enabled()
    page.at("microphone").click()
    page.wait(lambda: page.at("label").text != "microphone off")
    page.at("profile").send_keys(str(tmp_path / "me.profile"))
    assert page.at("label").text == "microphone off"
    assert not page.at("save-profile").is_enabled()


def test_the_page_fits_all_screens_and_is_accessible(page: Page, axe: Path, tmp_path: Path) -> None:
    assert page.faults(axe) == []
    assert page.at("status").aria_role == "status"
    file = tmp_path / f"{'a_very_long_name_' * 9}.wav"
    soundfile.write(file, made_sound(2.0, 220.0), RATE)
    page.at("file").send_keys(str(file))
    page.wait(lambda: "1 of 1" in page.at("progress").text)
    page.at("results").find_element(By.TAG_NAME, "summary").click()
    (file := tmp_path / "text.wav").write_text("no sound at all")
    page.at("microphone").click()
    page.wait(lambda: page.at("label").text in LABELS)
    assert page.faults(axe) == []
    page.at("file").send_keys(str(file))
    page.wait(lambda: "is not audio" in page.at("results").text)
    page.at("profile").send_keys(str(file))  # only its name is shown
    assert page.faults(axe) == []
    assert any("422" in each for each in page.errors())  # which also empties the list


def test_a_disconnected_microphone_is_reported(page: Page) -> None:
    page.browser.execute_script(HOLD)
    page.at("microphone").click()
    page.wait(lambda: page.at("label").text in LABELS)
    page.browser.execute_script(GONE)
    assert page.at("label").text == "microphone off"
    assert page.at("status").text == "The microphone was disconnected. Connect it and start again."
    page.wait(page.at("save-profile").is_enabled)


def test_a_page_that_may_have_no_microphone_says_why(browser: Page, model: Path) -> None:
    with served(model, "--name", "0.0.0.0") as (address, _):
        address = address.replace("127.0.0.1", "0.0.0.0")  # no name that browsers trust
        browser.browser.get(address)
        browser.wait(lambda: browser.at("microphone").is_enabled())
        browser.at("microphone").click()
        browser.wait(lambda: "fault" in (browser.at("status").get_attribute("class") or ""))
        told = "The microphone cannot be used. The page must come from HTTPS or localhost. Got"
        assert browser.at("status").text == f"{told} {address}."
        told = f"A page must come from HTTPS or localhost to check sha256. Got {address}."
        assert browser.browser.execute_async_script(DIGEST) == told


def test_a_lost_connection_is_reported(browser: Page, model: Path) -> None:
    with served(model) as (address, server):
        browser.browser.get(address)
        browser.wait(lambda: browser.at("microphone").is_enabled())
        browser.at("microphone").click()
        browser.wait(lambda: browser.at("label").text in LABELS)
        assert math.isfinite(float(browser.at("level").get_attribute("value") or "nan"))
        server.kill()
        browser.wait(lambda: browser.at("label").text == "microphone off")
    told = "The connection to the service was lost. Start the microphone again."
    assert browser.at("status").text == told
    assert "fault" in (browser.at("status").get_attribute("class") or "").split()


def test_the_model_runs_in_the_browser_or_on_the_server(
    browser: Page, model: Path, node_modules: Path, axe: Path, tmp_path: Path
) -> None:
    runtime = node_modules / "onnxruntime-web" / "dist"
    with served(model, "--browser-runtime", str(runtime)) as (address, _):

        def uploads() -> int:
            text = urlopen(f"{address}/metrics").read().decode()
            return int('affekt_requests_total{method="POST",path="/predict"' in text)

        away = model.rename(model.with_suffix(".away"))  # the first try fails
        browser.browser.get(address)
        browser.wait(lambda: browser.at("microphone").is_enabled())
        assert "The model cannot run in this browser" in browser.at("status").text
        browser.errors()
        away.rename(model)
        browser.at("in-browser").click()
        browser.wait(lambda: browser.at("microphone").is_enabled())
        assert browser.at("status").text == "The model runs in this page. No audio leaves it."
        assert_predicted_as_by(affekt.load(model, adapt=True, limits=None), browser, tmp_path)
        browser.at("microphone").click()
        browser.wait(lambda: browser.at("label").text in LABELS)
        assert browser.faults(axe) == []
        assert uploads() == 0
        browser.at("on-server").click()
        assert browser.at("status").text.startswith("Audio is sent to the service at")
        assert browser.at("label").text == "microphone off"
        browser.at("clear-results").click()
        assert_predicted_as_by(affekt.load(model, adapt=True), browser, tmp_path)
        assert uploads() == 1
        assert read_profile(browser.saved("save-profile", "voice.profile")).seconds > 0
    assert browser.errors() == []


@pytest.mark.parametrize(
    ("export", "told"),
    [
        ("x", "Missing initializer"),
        ("InferenceSession = { create: async () => { throw 7; } }", "ONNX Runtime failed: 7."),
    ],
)
def test_the_server_answers_where_the_browser_cannot(
    browser: Page, model: Path, tmp_path: Path, export: str, told: str
) -> None:
    for name in RUNTIME:
        (tmp_path / name).write_text(f"export const env = {{ wasm: {{}} }}, Tensor = 0, {export};")
    with served(model, "--browser-runtime", str(tmp_path)) as (address, _):
        browser.browser.get(address)
        browser.wait(lambda: browser.at("microphone").is_enabled())
        assert "The model cannot run in this browser" in browser.at("status").text
        assert told in browser.at("status").text
        assert browser.at("on-server").is_selected()
        assert_predicted_as_by(affekt.load(model, adapt=True), browser, tmp_path)
    browser.errors()


def test_the_api_is_shown_and_can_be_tried(page: Page, axe: Path, tmp_path: Path) -> None:
    browser = page.browser
    address = browser.current_url
    browser.get(f"{address}docs")
    page.wait(lambda: browser.find_elements(By.TAG_NAME, "details"))
    names = [each.get_attribute("id") for each in browser.find_elements(By.TAG_NAME, "details")]
    assert names == ["predict", "timeline", "embed", "model", "health", "metrics", "openapi"]
    predict = page.at("predict")
    predict.find_element(By.TAG_NAME, "summary").click()
    assert '"probabilities"' in predict.text
    recording = tmp_path / "voice.wav"
    soundfile.write(recording, made_sound(3.0), RATE)
    predict.find_element(By.NAME, "file").send_keys(str(recording))
    predict.find_element(By.NAME, "parameter-1").send_keys("0.99")
    browser.execute_script("delete URLSearchParams.prototype.size")  # as in older browsers
    answer = predict.find_element(By.CSS_SELECTOR, "form + pre")
    predict.find_element(By.TAG_NAME, "button").click()
    page.wait(lambda: answer.text.startswith("200"))
    assert json.loads(answer.text[3:])["label"] == "uncertain"
    predict.find_element(By.NAME, "parameter-1").send_keys("x")
    predict.find_element(By.TAG_NAME, "button").click()
    page.wait(lambda: answer.text.startswith("422"))
    assert "min_confidence" in answer.text
    metrics = page.at("metrics")
    metrics.find_element(By.TAG_NAME, "summary").click()
    metrics.find_element(By.TAG_NAME, "button").click()
    page.wait(lambda: "affekt_requests_total" in metrics.text)
    assert page.width_beyond(375) == 0  # tables scroll by themselves
    assert [each for each in page.faults(axe) if "px: <" not in each] == []
    (refused,) = page.errors()  # the browser logs the request that was refused
    assert "422" in refused
