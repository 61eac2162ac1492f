"""Test the service's live streams of several channels: each channel is one speaker."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import affekt
from affekt.inference.profile import profile_of
from affekt.service import app as serving
from affekt.service.app import make_app
from synthetic_network import made_sound, own_model
from test_service import RATE, STREAM, pieces, talk

PAIR = np.stack([made_sound(4.0, 200.0), made_sound(4.0, 120.0)], axis=1)
CLIPS = ("03-01-05-02-01-01-23", "03-01-04-02-01-01-24")  # RAVDESS: an angry man, a sad woman
WORD = "and a channel in [0, 1]"  # of the error for texts without one


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> affekt.Predictor:
    return affekt.load(own_model(tmp_path_factory.mktemp("model")), limits=None)


@pytest.fixture(scope="module")
def client(predictor: affekt.Predictor) -> Iterator[TestClient]:
    with opened(predictor) as served:
        yield served


def opened(predictor: affekt.Predictor) -> TestClient:
    return TestClient(make_app(predictor, hosts={"localhost"}), base_url="http://localhost:8000")


def of_channel(found: list[dict[str, Any]], channel: int) -> list[dict[str, Any]]:
    """The segments of a channel, as a stream of one channel gives them."""
    mine = [each for each in found if each["channel"] == channel]
    return [{name: each[name] for name in each if name != "channel"} for each in mine]


def assert_like_separate_streams(client: TestClient, sound: np.ndarray, query: str) -> None:
    """Send all channels in one session, and each in its own: the answers are equal."""
    channels = sound.shape[1]
    found = talk(client, f"{query}&channels={channels}", *pieces(sound, 4_801), "end")
    assert [each["end"] for each in found] == sorted(each["end"] for each in found)
    assert {each["channel"] for each in found} == {*range(channels)}
    for channel in range(channels):
        alone = talk(client, query, *pieces(sound[:, channel], 4_801), "end")
        assert alone
        assert of_channel(found, channel) == alone


@pytest.mark.corpus
def test_two_real_speakers_are_answered_as_in_two_streams(data: Path) -> None:
    files = [next((data / "ravdess").rglob(f"{clip}.*")) for clip in CLIPS]
    clips = [soundfile.read(file, dtype="int16", always_2d=True) for file in files]
    rate = clips[0][1]
    shortest = min(len(clip) for clip, _ in clips)
    sound = np.stack([clip[:shortest, 0] for clip, _ in clips], axis=1)
    with opened(affekt.load()) as served:
        assert_like_separate_streams(served, sound, f"rate={rate}&encoding=s16le&adapt=1")


@pytest.mark.parametrize("channels", [2, 3, 8])
def test_each_channel_is_answered_as_in_its_own_stream(client: TestClient, channels: int) -> None:
    sound = np.stack([made_sound(2.0, 100.0 + 20 * each) for each in range(channels)], axis=1)
    assert_like_separate_streams(client, sound, f"rate={RATE}&adapt=1")


def test_one_channel_is_the_default(client: TestClient) -> None:
    given = pieces(PAIR[:, 0])
    assert talk(client, "channels=1", *given, "end") == talk(client, "", *given, "end")


def test_every_channel_has_its_profile(client: TestClient, predictor: affekt.Predictor) -> None:
    people = [predictor.enroll([each], sample_rate=RATE) for each in PAIR.T]
    first, second = (base64.b64encode(each.content()).decode() for each in people)
    given: list[bytes | str] = [f"{second} 1", f"{first} 0", PAIR.tobytes(), "end"]
    found = talk(client, "channels=2", *given)
    for channel, person in enumerate((first, second)):
        alone = talk(client, "", person, PAIR[:, channel].tobytes(), "end")
        assert of_channel(found, channel) == alone

    with client.websocket_connect(f"{STREAM}?channels=2&adapt=1") as socket:
        socket.send_bytes((PAIR * np.array([1, 0], np.float32)).tobytes())
        for _ in range(8):
            assert "channel" in socket.receive_json()
        socket.send_text("profile 0")
        assert profile_of(socket.receive_bytes()).seconds > 1
        socket.send_text("profile 1")  # silent so far
        assert "no speech detected" in socket.receive_json()["error"]


@pytest.mark.parametrize(
    ("query", "messages", "words"),
    [
        ("channels=0", [], "channels must be one of 1, 2, 3, 4, 5, 6, 7, 8. Got '0'."),
        ("channels=9", [], "channels must be one of 1, 2, 3, 4, 5, 6, 7, 8. Got '9'."),
        ("channels=1e300", [], "Got '1e300'"),
        ("channels=1.5", [], "query parameter channels must be one of 1, 2"),
        ("channels=two", [], "query parameter channels must be one of 1, 2"),
        ("channels=8&rate=768000", [], "Got 8 channels of 768000 Hz"),
        ("channels=2", [bytes(12)], "whole frames of 2 samples of 4 bytes, at most 1048576"),
        ("channels=2&encoding=s16le", [bytes(6)], "whole frames of 2 samples of 2 bytes"),
        ("channels=2", [bytes((1 << 20) + 8)], "Got 1048584. Send smaller messages"),
        ("channels=2", [np.array([0, np.nan], "<f4").tobytes()], "must be finite"),
        ("channels=2", ["profile"], f"{WORD}. Got 'profile'."),
        ("channels=2", ["profile 2"], f"{WORD}. Got 'profile 2'."),
        ("channels=2", ["aGVsbG8="], f"{WORD}. Got 'aGVsbG8='."),
        ("channels=2", ["aGVsbG8= 1"], "must be a whole profile"),
        ("channels=2", [bytes(8), "aGVsbG8= 1"], "must be sent before the first samples"),
        (
            "channel=1",
            [],
            "parameters must be among adapt, min_confidence, quality, rate, encoding",
        ),
        ("", ["profile 0"], "must be end, profile, or a profile in base64. Got 'profile 0'"),
    ],
)
def test_bad_channels_end_a_session_with_one_error(
    client: TestClient, query: str, messages: list[bytes | str], words: str
) -> None:
    (found,) = talk(client, query, *messages)
    assert words in found["error"]
    assert "\n" not in found["error"]


def test_a_profile_of_the_service_is_of_one_speaker(predictor: affekt.Predictor) -> None:
    person = predictor.enroll([PAIR[:, 0]], sample_rate=RATE)
    with opened(affekt.Predictor(predictor.graph, person, limits=None)) as served:
        (found,) = talk(served, "channels=2")
        assert "must be of the only speaker. Got 2 channels" in found["error"]
        assert talk(served, "", "end") == []


def test_every_channel_counts_as_a_stream(
    predictor: affekt.Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "MAX_STREAMS", 8)  # 4 of one client
    monkeypatch.setattr(serving, "MAX_STREAM_WAIT", 0.1)
    with opened(predictor) as served, served.websocket_connect(f"{STREAM}?channels=3") as first:
        assert "at most 8 live streams" in talk(served, "channels=2")[0]["error"]
        assert talk(served, "", "end") == []  # the refused one occupies nothing
        first.send_text("end")
        with pytest.raises(WebSocketDisconnect):
            first.receive_json()
        assert talk(served, "channels=4", "end") == []
