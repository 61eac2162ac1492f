"""Test the page when something fails in a real browser: the microphone or the connection."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile
from selenium.webdriver.common.keys import Keys

from chromium_session import Page, needs_browser, opened, visited
from synthetic_network import made_sound, own_model
from test_page import LABELS, RATE, served

pytestmark = needs_browser
WAITING = "navigator.mediaDevices.getUserMedia = () => new Promise(() => {});"
REFUSED = """
const [name] = arguments;
navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("Refused", name); };
"""
NO_SOCKET = """
const { WebSocket: Socket } = window;
window.WebSocket = class extends Socket {
  constructor(address) { super(String(address).replace("stream", "nothing")); }
};
"""
#: Delay the profiles that the service sends, and note the texts that it gets.
SLOW_PROFILE = """
window.texts = [];
const { WebSocket: Socket } = window;
window.WebSocket = class extends Socket {
  set onmessage(take) {
    const later = (event) => setTimeout(take, 1500, event);
    super.onmessage = (event) => (typeof event.data === "string" ? take : later)(event);
  }
  send(message) {
    if (typeof message === "string") window.texts.push(message);
    super.send(message);
  }
};
"""
#: Let nothing leave the socket of the page.
HELD = 'Object.defineProperty(WebSocket.prototype, "bufferedAmount", { get: () => 1e9 });'
#: Give the test access to the worklet's node.
NODE = """
const { AudioWorkletNode: Node } = window;
window.AudioWorkletNode = class extends Node {
  constructor(...given) { super(...given); window.worklet = this; }
};
"""
BLOCK = "window.worklet.port.onmessage({ data: [new Float32Array(16 * 16000)] });"
#: Count the changes of texts, and those to the same text.
COUNTED = """
window.changes = { all: 0, same: 0 };
const count = ({ addedNodes: [added], removedNodes: [removed] }) => {
  window.changes.all += 1;
  window.changes.same += added?.data === removed?.data;
};
const observer = new MutationObserver((changes) => changes.forEach(count));
for (const id of ["label", "lately"]) {
  observer.observe(document.getElementById(id), { childList: true });
}
"""
#: Start the microphone; the code of a test comes before and after.
STARTED = """
const done = arguments[0];
(async () => {
  const { startMicrophone } = await import("./affekt/microphone.js");
  const wait = (ms) => new Promise((go) => setTimeout(go, ms));
  let [context, blocks] = [null, 0];
  const { AudioContext: Context } = window;
  window.AudioContext = class extends Context {
    constructor(...given) { super(...given); context = this; }
  };
"""
START = "const microphone = await startMicrophone(() => blocks++);"
#: Suspend the audio, as iOS does during a telephone call.
SUSPENDED = (
    START
    + """
  while (!blocks) await wait(50);
  await context.suspend();
  const before = blocks;
  for (let tries = 0; tries < 100 && blocks === before; tries++) await wait(50);
  microphone.stop();
  return blocks > before;
"""
)
#: Stop twice where a context must not be closed twice, as in Firefox.
STOPPED_TWICE = (
    """
  const { close } = AudioContext.prototype;
  let closed = false;
  AudioContext.prototype.close = async function () {
    if (closed) throw new Error("closed twice");
    closed = true;
    await wait(100);
    return close.call(this);
  };
"""
    + START
    + """
  microphone.stop();
  microphone.stop();
  await wait(500);
  return closed;
"""
)
#: Disconnect the microphone before it has started.
UNPLUGGED = (
    """
  const { mediaDevices } = navigator;
  const ask = mediaDevices.getUserMedia.bind(mediaDevices);
  mediaDevices.getUserMedia = async (wish) => {
    const media = await ask(wish);
    media.getTracks()[0].stop();
    return media;
  };
"""
    + START
    + "return microphone.sampleRate;"
)
#: Show an element, and tell where it is.
PLACE = """
const element = document.getElementById(arguments[0]);
element.scrollIntoView();
return element.getBoundingClientRect().toJSON();
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with opened(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture(scope="module")
def address(model: Path) -> Iterator[str]:
    with served(model) as (there, _):
        yield there


@pytest.fixture
def page(browser: Page, address: str) -> Iterator[Page]:
    with visited(browser, address) as page:
        yield page


def work(page: Page, what: str) -> Any:
    script = f"{STARTED}{what}}})().then(done, (error) => done(error.message));"
    return page.browser.execute_async_script(script)


def test_a_microphone_that_starts_can_be_stopped(page: Page) -> None:
    page.browser.execute_script(WAITING)
    page.at("microphone").click()
    assert page.at("microphone").text == "Stop microphone"
    assert page.at("status").text == "Starting the microphone …"
    page.at("microphone").click()
    assert page.at("microphone").text == "Start microphone"
    assert page.at("status").text == "The microphone is off."


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("NotAllowedError", "Allow it in the settings of the browser and of the system,"),
        ("NotFoundError", "Connect one,"),
        ("NotReadableError", "Close other programs that use it,"),
    ],
)
def test_a_microphone_that_is_refused_has_a_remedy(page: Page, name: str, told: str) -> None:
    page.browser.execute_script(REFUSED, name)
    page.at("microphone").click()
    page.wait(lambda: "cannot be used" in page.at("status").text)
    told = f"The microphone cannot be used. {told} and start it again."
    assert page.at("status").text == told
    assert page.at("microphone").text == "Start microphone"


def test_a_connection_that_cannot_be_opened_is_not_called_lost(page: Page) -> None:
    page.browser.execute_script(NO_SOCKET)
    page.at("microphone").click()
    page.wait(lambda: "No connection for live audio can be opened" in page.at("status").text)
    assert page.at("microphone").text == "Start microphone"
    assert "403" in page.errors()[0]  # which also empties the list


def test_a_connection_that_is_too_slow_ends_the_session(page: Page) -> None:
    page.browser.execute_script(HELD)
    page.at("microphone").click()
    page.wait(lambda: "does not reach the service fast enough" in page.at("status").text)
    assert page.at("label").text == "microphone off"


def test_a_profile_that_is_on_its_way_is_used(page: Page) -> None:
    page.browser.execute_script(SLOW_PROFILE)
    page.at("microphone").click()
    page.wait(lambda: page.at("label").text in LABELS)
    page.browser.execute_script("for (let n = 0; n < 2; n++) document.all.microphone.click();")
    page.wait(lambda: page.at("label").text in LABELS)
    asked, known = page.browser.execute_script("return window.texts")
    assert asked == "profile"
    assert len(known) > 1000  # in base64


def test_a_device_that_is_too_slow_ends_the_session(
    browser: Page, model: Path, node_modules: Path
) -> None:
    runtime = node_modules / "onnxruntime-web" / "dist"
    with served(model, "--browser-runtime", str(runtime)) as (address, _):
        browser.browser.get(address)
        browser.wait(lambda: browser.at("microphone").is_enabled())
        browser.browser.execute_script(NODE)
        browser.at("microphone").click()
        browser.wait(lambda: browser.at("label").text in LABELS)
        browser.browser.execute_script(BLOCK)
        assert browser.at("label").text == "microphone off"
        assert browser.at("status").text.startswith("This device is too slow for the model.")
        assert browser.errors() == []


def test_a_text_that_stays_is_not_announced_again(page: Page) -> None:
    page.at("microphone").click()
    page.wait(lambda: page.at("label").text in LABELS)
    page.browser.execute_script(COUNTED)
    drawn = "return document.querySelector('#bars .share').textContent"
    for _ in range(3):
        before = page.browser.execute_script(drawn)
        page.wait(lambda before=before: page.browser.execute_script(drawn) != before)
    page.at("microphone").click()
    changes = page.browser.execute_script("return window.changes")
    assert changes["all"] > 0  # at least to "microphone off"
    assert changes["same"] == 0


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (SUSPENDED, True),
        (STOPPED_TWICE, True),
        (UNPLUGGED, "The microphone was disconnected. Connect it and start again."),
    ],
)
def test_a_microphone_of_another_browser(page: Page, script: str, expected: Any) -> None:
    assert work(page, script) == expected


def test_a_button_that_disables_itself_passes_the_focus_on(page: Page, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "said.wav", made_sound(2.0), RATE)
    page.at("file").send_keys(str(tmp_path / "said.wav"))
    page.at("microphone").click()
    page.wait(page.at("clear").is_enabled)
    page.wait(lambda: "1 of 1" in page.at("progress").text)
    page.at("microphone").click()
    page.wait(page.at("reset").is_enabled)
    for button, following in (
        ("clear", "microphone"),
        ("clear-results", "file"),
        ("reset", "profile"),
    ):
        page.at(button).send_keys(Keys.ENTER)
        assert not page.at(button).is_enabled()
        assert page.browser.switch_to.active_element == page.at(following)


def test_a_recording_dropped_beside_its_place_is_not_opened(page: Page, tmp_path: Path) -> None:
    """Firefox and Safari would open it in place of the page, Chromium in a new tab."""
    soundfile.write(tmp_path / "said.wav", made_sound(2.0), RATE)
    files = {"items": [], "files": [str(tmp_path / "said.wav")], "dragOperationsMask": 1}
    before = page.browser.window_handles
    for element in ("model", "drop"):
        at = page.browser.execute_script(PLACE, element)
        for kind in ("dragEnter", "dragOver", "drop"):
            event = {"type": kind, "x": at["x"] + 5, "y": at["y"] + 5, "data": files}
            page.browser.execute_cdp_cmd("Input.dispatchDragEvent", event)
    page.wait(lambda: page.at("progress").text == "1 of 1 recording is done.")
    assert page.browser.window_handles == before


def test_bars_have_their_colors_where_the_system_chooses_all_others(page: Page) -> None:
    media = {"features": [{"name": "forced-colors", "value": "active"}]}
    color = "return getComputedStyle(document.querySelector('.fill')).backgroundColor"
    own = page.browser.execute_script(color)
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    forced = page.browser.execute_script(color)
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert forced == own
