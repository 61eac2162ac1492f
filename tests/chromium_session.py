"""Open a page in a real browser whose microphone plays a file."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from affekt.audio.reading import read
from conftest import SAMPLES

needs_browser = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")),
    reason="needs Debian's chromium and chromium-driver",
)
NPM = shutil.which("npm") or ""
SPEECH = read(SAMPLES / "lively.flac")
WIDTHS = (375, 768, 1280)  # px: a phone, a tablet, a desktop
PATIENCE = 60.0  # s: a busy machine is slow to start a browser
#: Count the colors of a canvas.
COLOURS = """
const canvas = document.getElementById(arguments[0]);
const dots = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
return new Set(new Uint32Array(dots.buffer)).size;
"""
#: Find elements beyond the right edge of the screen or of their parent.
OUTSIDE = """
const right = (element) => element.getBoundingClientRect().right;
const overflows = (element) =>
  element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).display !== "inline";
const outside = (element) =>
  right(element) > Math.min(innerWidth, right(element.parentElement)) + 0.5 || overflows(element);
return [...document.querySelectorAll("body *")].filter(outside).map((each) => each.outerHTML);
"""


#: Look for violations of the accessibility rules of axe-core.
CHECKED = """
const done = arguments[0];
axe.run().then(({ violations }) => done(violations.flatMap(({ id, nodes }) =>
  nodes.map(({ html }) => `${id}: ${html}`))), (error) => done([String(error)]));
"""


def run_npm(folder: Path, *words: str) -> str:
    """Run npm in a folder and return what it prints; the test is skipped without its registry."""
    try:
        command = [NPM or pytest.skip("needs npm"), *words]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180)
    except subprocess.TimeoutExpired:
        pytest.skip("needs npm's registry within three minutes")
    if re.search(r"network|code E(429|5\d\d)", done.stderr):
        pytest.skip("needs npm's registry")
    assert done.returncode == 0, done.stderr
    return done.stdout


class Page:
    """A page in a browser whose microphone plays a file."""

    def __init__(self, browser: webdriver.Chrome, downloads: Path) -> None:
        self.browser = browser
        self.downloads = downloads

    def at(self, name: str) -> WebElement:
        return self.browser.find_element(By.ID, name)

    def wait(self, ready: Callable[[], object]) -> None:
        WebDriverWait(self.browser, PATIENCE, 0.1).until(lambda _: ready())

    def saved(self, button: str, name: str) -> Path:
        """Click a button and return the file that it saves."""
        self.at(button).click()
        file = self.downloads / name
        self.wait(lambda: file.exists() and file.stat().st_size)
        return file

    def colors(self, canvas: str) -> int:
        return int(self.browser.execute_script(COLOURS, canvas))

    def width_beyond(self, width: int) -> int:
        """Pixels that a screen of this width must scroll aside to see all."""
        size = {"width": width, "height": 1400, "deviceScaleFactor": 1, "mobile": True}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        found = self.browser.execute_script("return document.body.scrollWidth - innerWidth")
        self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        return int(found)

    def faults(self, axe: Path) -> list[str]:
        """List elements that do not fit a screen, or are not accessible.

        Args:
            axe: the file ``axe.min.js`` of the package axe-core.

        Returns:
            Faults on screens of three widths, in light and dark; each begins with the screen.
        """
        found = []
        for scheme in ("light", "dark"):
            media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
            for width in WIDTHS:
                size = {"width": width, "height": 1400, "deviceScaleFactor": 1, "mobile": True}
                self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
                self.browser.execute_script(axe.read_text())
                outside = self.browser.execute_script(OUTSIDE)
                told = [*outside, *self.browser.execute_async_script(CHECKED)]
                found += [f"{scheme}, {width} px: {each}" for each in told]
        self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        return found

    def errors(self) -> list[str]:
        """Read and clear the errors in the browser's log."""
        told = self.browser.get_log("browser")
        return [each["message"] for each in told if each["level"] == "SEVERE"]


@contextmanager
def opened(folder: Path, sound: NDArray[np.float32] | None = None) -> Iterator[Page]:
    """Start a browser whose microphone plays sound; downloads go to a folder.

    Args:
        folder: that is empty.
        sound: ``(samples,)`` or ``(samples, channels)`` at 16 kHz; speech by default. It is
            repeated, and may start anywhere.
    """
    voice = folder / "voice.wav"
    soundfile.write(voice, SPEECH if sound is None else sound, 16_000)
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
        driver.set_script_timeout(PATIENCE)
        yield Page(driver, folder)


@contextmanager
def visited(browser: Page, address: str) -> Iterator[Page]:
    """Open the page, wait until it can be used, and check at the end that nothing failed in it."""
    browser.browser.get(address)
    browser.wait(lambda: browser.at("microphone").is_enabled())
    yield browser
    assert browser.errors() == []
