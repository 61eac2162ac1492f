"""Test the page with two channels of a microphone, one speaker each, in a real browser."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from chromium_session import SPEECH, Page, needs_browser, opened
from synthetic_network import own_model
from test_page import LABELS, served

pytestmark = needs_browser
OFF = "microphone off"
#: Pass on what the microphone gives, as a page of the same library would.
RECORDED = """
const [channels, count, done] = arguments;
import("./affekt/microphone.js").then(async ({ startMicrophone }) => {
  const blocks = [];
  const microphone = await startMicrophone((...channels) => {
    if (blocks.push(channels.map((channel) => [...channel])) < count) return;
    microphone.stop();
    done(blocks);
  }, { sampleRate: 16000, channels });
});
"""
#: Give two channels where one is wished.
STEREO = """
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = (wish) =>
  ask({ audio: { ...wish.audio, channelCount: 2 } });
"""
#: Give the page a microphone of one channel.
MONO = "MediaStreamTrack.prototype.getSettings = () => ({ channelCount: 1 });"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser whose microphone has a voice on the first channel, and silence on the second."""
    sound = np.stack([SPEECH, np.zeros_like(SPEECH)], axis=1)
    with opened(tmp_path_factory.mktemp("browser"), sound) as page:
        yield page


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(params=["server", "browser"])
def page(
    request: pytest.FixtureRequest, browser: Page, model: Path, node_modules: Path
) -> Iterator[Page]:
    runtime = node_modules / "onnxruntime-web" / "dist"
    options = ["--browser-runtime", str(runtime)] if request.param == "browser" else []
    for left in browser.downloads.glob("*.csv"):
        left.unlink()
    with served(model, *options) as (address, _):
        browser.browser.get(address)
        browser.wait(lambda: browser.at("microphone").is_enabled())
        yield browser
    assert browser.errors() == []


def levels(page: Page) -> list[float]:
    names = ("level", "level-2")
    return [float(page.at(name).get_attribute("value") or "nan") for name in names]


def test_two_channels_are_two_speakers(page: Page, axe: Path) -> None:
    assert not page.at("label-2").is_displayed()
    page.at("pair").click()
    assert page.at("label-2").text == OFF
    page.at("microphone").click()
    page.wait(lambda: page.at("label").text in LABELS)
    page.wait(lambda: page.at("label-2").text not in (OFF, "listening"))
    if not page.at("where").is_displayed():  # only the service detects speech
        assert page.at("label-2").text == "uncertain"
        assert page.at("lately-2").text == "the sound is silent: below -70 dB of full scale"
    assert page.at("chart-2").is_displayed()
    page.wait(lambda: page.colors("chart") > len(LABELS) and page.colors("chart-2") > len(LABELS))
    page.wait(lambda: levels(page)[0] > -60)
    assert levels(page)[1] == -60
    assert not page.at("save-profile").is_enabled()
    assert page.faults(axe) == []
    page.at("microphone").click()
    assert page.at("label").text == page.at("label-2").text == OFF
    assert not page.at("save-profile").is_enabled()

    with page.saved("save", "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:4] == ["start", "end", "channel", "label"]
    first, second = ([row for row in rows if row["channel"] == each] for each in "01")
    assert len(first) - len(second) in (0, 1)  # stopped between two answers
    for one, other in zip(first, second, strict=False):
        assert (one["start"], one["end"]) == (other["start"], other["end"])
        assert one["p_angry"] != other["p_angry"]

    page.at("pair").click()
    assert not page.at("label-2").is_displayed()
    page.at("microphone").click()  # one speaker again
    page.wait(page.at("save-profile").is_enabled)
    page.at("pair").click()  # another choice ends it
    assert page.at("label").text == OFF


def test_both_channels_of_the_microphone_are_passed_on(browser: Page, model: Path) -> None:
    with served(model) as (address, _):
        browser.browser.get(address)
        blocks = np.array(browser.browser.execute_async_script(RECORDED, 2, 40))
        browser.browser.execute_script(STEREO)
        mixed = np.array(browser.browser.execute_async_script(RECORDED, 1, 40))
    assert blocks.shape == (40, 2, 1_600)
    loudest = np.abs(blocks[:, 0]).max()
    assert loudest > 0.01
    assert not blocks[:, 1].any()
    assert np.abs(mixed).max() == pytest.approx(loudest / 2, rel=0.1)  # the mean of both


def test_a_microphone_of_one_channel_is_refused(browser: Page, model: Path) -> None:
    with served(model) as (address, _):
        browser.browser.get(address)
        browser.wait(lambda: browser.at("microphone").is_enabled())
        browser.browser.execute_script(MONO)
        browser.at("pair").click()
        browser.at("microphone").click()
        browser.wait(lambda: "must give 2 channels. Got 1" in browser.at("status").text)
        browser.at("pair").click()
        browser.at("microphone").click()
        browser.wait(lambda: browser.at("label").text in LABELS)
