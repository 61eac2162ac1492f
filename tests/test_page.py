"""The page in a real browser: a voice from its microphone, a recording, and what goes wrong."""

import csv
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import soundfile
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

import affekt
from affekt.inference.profile import read_profile
from made_network import made_sound, own_model

pytestmark = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")),
    reason="needs Debian's chromium and chromium-driver",
)
RATE = 16_000
PATIENCE = 60.0  # s: a busy machine is slow to start a browser
LABELS = ("angry", "happy", "sad", "neutral")
ANSWERED = "return document.getElementById('keep').disabled === false"
#: Different colours that a canvas shows.
COLOURS = """
const canvas = document.getElementById(arguments[0]);
const dots = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
return new Set(new Uint32Array(dots.buffer)).size;
"""


class Page:
    """The page, open in a browser that hears a file in place of a microphone."""

    def __init__(self, browser: webdriver.Chrome, downloads: Path) -> None:
        self.browser = browser
        self.downloads = downloads

    def at(self, name: str) -> WebElement:
        return self.browser.find_element(By.ID, name)

    def wait(self, ready: Callable[[], object]) -> None:
        WebDriverWait(self.browser, PATIENCE, 0.1).until(lambda _: ready())

    def saved(self, button: str, name: str) -> Path:
        """The file that a button saves."""
        self.at(button).click()
        file = self.downloads / name
        self.wait(lambda: file.exists() and file.stat().st_size)
        return file

    def colours(self, canvas: str) -> int:
        return int(self.browser.execute_script(COLOURS, canvas))  # type: ignore[no-untyped-call]

    def faults(self) -> list[str]:
        """What the browser complains of; a socket that the service ends is none of the page's."""
        told = self.browser.get_log("browser")  # type: ignore[no-untyped-call]
        return [each["message"] for each in told if each["level"] == "SEVERE"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own_model(tmp_path_factory.mktemp("model"))


@contextmanager
def served(model: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    words = [sys.executable, "-m", "affekt.cli", "serve", "--port", "0", "--model", str(model)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip(), server
        server.terminate()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("browser")
    voice = folder / "voice.wav"
    soundfile.write(voice, made_sound(8.0), RATE)
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-dev-shm-usage",
        "use-fake-ui-for-media-stream",
        "use-fake-device-for-media-stream",
        f"use-file-for-fake-audio-capture={voice}",
        "autoplay-policy=no-user-gesture-required",
    ):
        options.add_argument(f"--{flag}")
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as driver:
        yield Page(driver, folder)


@pytest.fixture
def page(browser: Page, model: Path) -> Iterator[Page]:
    for left in (*browser.downloads.glob("*.csv"), *browser.downloads.glob("*.profile")):
        left.unlink()
    with served(model) as (address, _):
        browser.browser.get(address)
        browser.wait(lambda: browser.at("model").text)
        yield browser
    assert browser.faults() == []


def test_a_voice_is_heard_and_what_was_heard_is_saved(page: Page) -> None:
    page.at("listen").click()
    page.wait(lambda: page.browser.execute_script(ANSWERED))  # type: ignore[no-untyped-call]
    assert page.at("now").text in LABELS
    shares = [
        float(each.text.strip(" %")) for each in page.browser.find_elements(By.CLASS_NAME, "share")
    ]
    assert sum(shares) == pytest.approx(100, abs=2)  # each is rounded
    page.wait(lambda: page.colours("course") > len(LABELS))
    person = read_profile(page.saved("learned", "voice.profile"))
    assert person.seconds > 0

    page.at("listen").click()
    assert page.at("now").text == "not listening"
    with page.saved("keep", "answers.csv").open(newline="") as file:
        first = list(csv.DictReader(file))
    assert list(first[0]) == ["start", "end", "label", *(f"p_{label}" for label in LABELS)]
    assert float(first[0]["start"]) == 0.0
    for row in first:
        own = {label: float(row[f"p_{label}"]) for label in LABELS}
        assert sum(own.values()) == pytest.approx(1, abs=1e-5)
        assert row["label"] == max(own, key=own.__getitem__)

    page.at("listen").click()  # once more: its times follow those of the first
    (page.downloads / "answers.csv").unlink()
    page.wait(lambda: page.at("now").text in LABELS)
    page.at("listen").click()
    with page.saved("keep", "answers.csv").open(newline="") as file:
        both = list(csv.DictReader(file))
    assert both[: len(first)] == first
    assert float(both[len(first)]["start"]) == pytest.approx(float(first[-1]["end"]), abs=2e-3)
    page.at("forget").click()
    assert not page.at("keep").is_enabled()


def test_a_known_voice_starts_from_its_profile(page: Page, model: Path, tmp_path: Path) -> None:
    sound = made_sound(8.0)
    affekt.load(model).enroll([sound], sample_rate=RATE).save(tmp_path / "me.profile")
    page.at("profile").send_keys(str(tmp_path / "me.profile"))
    page.at("adapt").click()  # so that nothing is learned beside
    page.at("listen").click()
    page.wait(lambda: page.browser.execute_script(ANSWERED))  # type: ignore[no-untyped-call]
    again = read_profile(page.saved("learned", "voice.profile"))
    page.at("listen").click()
    assert again.seconds == read_profile(tmp_path / "me.profile").seconds


def test_a_recording_is_answered_as_by_the_library(page: Page, model: Path, tmp_path: Path) -> None:
    file = tmp_path / "said.wav"
    soundfile.write(file, made_sound(5.0, 220.0), RATE)
    page.at("file").send_keys(str(file))
    page.wait(lambda: "%" in page.at("answer").text)
    expected = affekt.load(model).predict(file)
    named = re.fullmatch(r"said\.wav, 5\.0 s: (\w+) \((.+)\)", page.at("answer").text)
    assert named is not None
    assert named[1] == expected.label
    shares = dict(each.removesuffix(" %").split() for each in named[2].split(", "))
    for label, probability in expected.probabilities.items():
        assert int(shares[label]) == pytest.approx(100 * probability, abs=0.51)
    assert page.colours("recorded") > len(LABELS)

    (tmp_path / "text.wav").write_text("no sound at all")
    page.at("file").send_keys(str(tmp_path / "text.wav"))
    page.wait(lambda: "fault" in page.at("answer").get_attribute("class").split())
    assert "sound" in page.at("answer").text
    assert not page.at("recorded").is_displayed()
    assert any("422" in each for each in page.faults())  # which also empties the list


def test_the_end_of_the_service_is_told(browser: Page, model: Path) -> None:
    with served(model) as (address, server):
        browser.browser.get(address)
        browser.wait(lambda: browser.at("model").text)
        browser.at("listen").click()
        browser.wait(lambda: browser.at("now").text in LABELS)
        assert math.isfinite(float(browser.at("level").get_attribute("value") or "nan"))
        server.kill()
        browser.wait(lambda: browser.at("now").text == "not listening")
    assert browser.at("about").text == "The service has ended. Nothing is heard."
    assert "fault" in (browser.at("about").get_attribute("class") or "").split()
