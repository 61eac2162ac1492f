"""Test what Python users expect: tensors, iterables, raw bytes, pickles, tables and drawings."""

import copy
import inspect
import json
import multiprocessing
import pickle
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import audformat
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

import affekt
from affekt.audio.pcm import ENCODINGS, decode_pcm
from affekt.errors import AffektError, AudioError, ModelError
from affekt.inference.shipped_models import load_same
from affekt.inference.timelines.drawing import NAMES, draw_timeline
from conftest import SAMPLES
from small_model import LABELS, metadata, small_model

RATE = 16_000
FILES = sorted(SAMPLES.glob("*.flac"))


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    return affekt.read(FILES[1])


def test_tensors_are_predicted_as_arrays(predictor: affekt.Predictor, sound: np.ndarray) -> None:
    expected = predictor.predict(sound, sample_rate=RATE)
    tensor = torch.from_numpy(sound)
    with_gradient = tensor.clone().requires_grad_()
    stereo = torch.stack([tensor, 0 * tensor])  # (channels, samples), as PyTorch has it
    assert predictor.predict(tensor, sample_rate=RATE) == expected
    assert predictor.predict(with_gradient, sample_rate=RATE) == expected
    assert predictor.predict(stereo, sample_rate=RATE, channel=0) == expected
    half = predictor.predict(tensor.bfloat16(), sample_rate=RATE)
    assert half.probabilities == pytest.approx(expected.probabilities, abs=0.02)
    whole = (tensor * 32_767).to(torch.int16)
    scaled = predictor.predict(whole.numpy(), sample_rate=RATE)
    assert predictor.predict(whole, sample_rate=RATE) == scaled
    with pytest.raises(AudioError, match="sample rate of <array> must be"):
        predictor.predict(tensor)


def test_dictionaries_of_hugging_face_are_predicted(
    predictor: affekt.Predictor, sound: np.ndarray
) -> None:
    expected = predictor.predict(sound, sample_rate=RATE)
    decoded = {"path": "calm.flac", "array": sound, "sampling_rate": RATE}
    assert predictor.predict(decoded).probabilities == expected.probabilities
    assert predictor.predict(decoded).file == "calm.flac"
    for values in (torch.from_numpy(sound), sound.tolist(), np.stack([sound, sound])):
        found = predictor.predict({"array": values, "sampling_rate": RATE})
        assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
    for stored in (
        {"bytes": FILES[1].read_bytes(), "path": None},
        {"bytes": None, "path": str(FILES[1])},
    ):
        assert predictor.predict(stored).segments == predictor.predict(FILES[1]).segments
    for words, bad in {
        r"must have the keys array and sampling_rate, or bytes or path. Got array": {
            "array": sound
        },
        r"Got none": {},
    }.items():
        with pytest.raises(AudioError, match=words):
            predictor.predict(bad)
    with pytest.raises(AudioError, match=re.escape("has its sampling_rate. Got 8000")):
        predictor.predict(decoded, sample_rate=8_000)


def test_a_decoder_of_torchcodec_is_predicted(
    predictor: affekt.Predictor, sound: np.ndarray
) -> None:
    class Decoder:
        def get_all_samples(self) -> SimpleNamespace:
            return SimpleNamespace(data=torch.from_numpy(sound)[None], sample_rate=RATE)

    expected = predictor.predict(sound, sample_rate=RATE)
    assert predictor.predict(Decoder()) == expected  # type: ignore[call-overload]
    assert [*predictor.predict([Decoder()])] == [expected]  # type: ignore[list-item]
    with pytest.raises(AudioError, match="sample_rate is for arrays only"):
        affekt.read(Decoder(), sample_rate=RATE)  # type: ignore[arg-type]


def test_a_list_of_samples_is_told_to_be_an_array(predictor: affekt.Predictor) -> None:
    with pytest.raises(AudioError, match=r"Got <float>\. .*numpy\.asarray\(samples\)"):
        [*predictor.predict([0.0, 0.5], sample_rate=RATE)]  # type: ignore[list-item]


def test_a_data_set_of_hugging_face_is_predicted(
    predictor: affekt.Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    stored = datasets.Dataset.from_dict({"audio": [str(file) for file in FILES]})
    rows = stored.cast_column("audio", datasets.Audio(decode=False))
    found = [*predictor.predict(row["audio"] for row in rows)]
    assert found == [predictor.predict(file) for file in FILES]
    packed = datasets.Dataset.from_dict(
        {"audio": [{"bytes": file.read_bytes(), "path": None} for file in FILES]}
    ).cast_column("audio", datasets.Audio(decode=False))
    found = [*predictor.predict(packed["audio"])]
    assert [each.segments for each in found] == [predictor.predict(f).segments for f in FILES]


def test_what_comes_before_a_fault_of_an_iterable_is_predicted(
    predictor: affekt.Predictor,
) -> None:
    def broken() -> Iterator[Path]:
        yield from FILES[:2]
        raise OSError("the disk failed")

    results = predictor.predict(broken(), jobs=2)
    assert [next(results), next(results)] == [predictor.predict(file) for file in FILES[:2]]
    with pytest.raises(OSError, match="the disk failed"):
        next(results)


def test_iterables_are_predicted_lazily_and_in_order(
    predictor: affekt.Predictor, sound: np.ndarray
) -> None:
    taken = []

    def endless() -> Iterator[object]:
        while True:
            for source in (FILES[0], {"array": sound, "sampling_rate": RATE}):
                taken.append(source)
                yield source

    results = predictor.predict(endless(), jobs=2)
    assert not taken  # nothing happens before it is asked for
    first, second, third = (next(results) for _ in range(3))
    results.close()  # type: ignore[attr-defined]
    assert len(taken) < 40
    assert first == third == predictor.predict(FILES[0])
    assert second == predictor.predict(sound, sample_rate=RATE)
    assert [*predictor.predict([])] == []
    with_missing = predictor.predict([FILES[0], "missing.wav", FILES[1]])
    assert next(with_missing) == first
    with pytest.raises(AudioError, match=r"missing\.wav does not exist"):
        next(with_missing)
    with pytest.raises(AudioError, match="source must be a path"):
        next(predictor.predict([3.5]))  # type: ignore[list-item]
    with pytest.raises(AudioError, match="source must be a path"):
        predictor.predict(3.5)  # type: ignore[call-overload]


@pytest.mark.parametrize("jobs", [-1, 0, 1.5, "2"])
def test_jobs_are_at_least_one(predictor: affekt.Predictor, jobs: object) -> None:
    with pytest.raises(ModelError, match=rf"jobs .*, at least 1\. Got {jobs!r}\."):
        [*predictor.predict(FILES, jobs=jobs)]  # type: ignore[call-overload]


@pytest.mark.parametrize("name", ["profile", "limits"])
def test_an_option_of_another_type_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=rf"{name} must be a \w+ or None\. Got 3\."):
        affekt.load(**{name: 3})  # type: ignore[arg-type]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_raw_bytes_are_pushed(
    predictor: affekt.Predictor, sound: np.ndarray, encoding: str, tmp_path: Path
) -> None:
    kind = encoding.removesuffix("le").removesuffix("be")
    subtypes = {"s8": "PCM_S8", "u8": "PCM_U8", "alaw": "ALAW", "mulaw": "ULAW"}
    subtypes |= {"s16": "PCM_16", "s24": "PCM_24", "s32": "PCM_32", "f32": "FLOAT", "f64": "DOUBLE"}
    endian = "BIG" if encoding.endswith("be") else "LITTLE" if encoding.endswith("le") else "FILE"
    path = tmp_path / "sound.raw"
    layout = {"format": "RAW", "subtype": subtypes[kind], "endian": endian}
    soundfile.write(path, sound, RATE, **layout)
    content = path.read_bytes()
    tolerance = 0.05 if kind in ("s8", "u8", "alaw", "mulaw") else 1e-4
    np.testing.assert_allclose(decode_pcm(content, encoding), sound, atol=tolerance)
    stream, other = predictor.stream(RATE), predictor.stream(RATE)
    half = len(content) // 48 * 24  # whole samples of every width
    found = stream.push(content[:half], encoding=encoding)
    found += stream.flush(memoryview(content)[half:], encoding=encoding)
    expected = other.push(decode_pcm(content[:half], encoding))
    assert found == expected + other.flush(decode_pcm(content[half:], encoding))


def test_raw_bytes_are_refused_in_one_line(predictor: affekt.Predictor) -> None:
    stream = predictor.stream()
    assert stream.push(b"", encoding="s16le") == []
    for words, content, encoding in (
        ("must have an encoding. Got bytes without one", b"ab", None),
        ("must be one of s16le, s16be, .* Got 'mp3'", b"ab", "mp3"),
        ("must be whole, 2 bytes each. Got 3 bytes", b"abc", "s16le"),
        ("encoding is for bytes only. Got 's16le'", np.zeros(9), "s16le"),
    ):
        with pytest.raises(AudioError, match=words):
            stream.push(content, encoding=encoding)


def test_results_are_pickled(predictor: affekt.Predictor) -> None:
    prediction = predictor.predict(FILES[0])
    utterance = next(predictor.timeline(FILES[0]))
    for value in (prediction, prediction.segments[0], utterance):
        assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 -- just made here


def test_predictors_are_sent_to_processes_without_the_model(tmp_path: Path) -> None:
    own = small_model(tmp_path / "own.onnx")
    for model in ("affekt-small", str(own)):
        predictor = affekt.load(model, threads=2, min_confidence=0.5, limits=None)
        assert len(pickle.dumps(predictor)) < 1_000
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            assert pool.submit(predictor.predict, FILES[0]).result() == predictor.predict(FILES[0])
            again = pool.submit(copy.copy, predictor).result()
        threads = again.graph.session.get_session_options().intra_op_num_threads
        assert (threads, again.min_confidence, again.limits) == (2, 0.5, None)
    pickled = pickle.dumps(predictor)
    load_same.cache_clear()
    small_model(own, note=metadata(name="another"))
    with pytest.raises(ModelError, match="must be the same on all nodes"):
        pickle.loads(pickled)  # noqa: S301 -- just made here


def test_results_have_one_line_and_a_dictionary(predictor: affekt.Predictor) -> None:
    prediction = predictor.predict(FILES[0])
    assert repr(prediction) == (
        f"<affekt.Prediction {FILES[0]}, 4.2 s: {prediction.label}, "
        f"highest probability {prediction.confidence:.2f}>"
    )
    for value in (prediction, prediction.segments[0], next(predictor.timeline(FILES[0]))):
        assert "\n" not in repr(value)
        assert value.confidence == max(value.probabilities.values())
        fields = json.loads(json.dumps(value.as_dict()))
        assert fields["probabilities"] == value.probabilities
        fields["probabilities"].clear()
        assert value.probabilities  # a copy, not the same
    assert prediction.as_dict()["segments"][1] == prediction.segments[1].as_dict()
    assert "recent" not in prediction.segments[0].as_dict()
    with_recent = affekt.Segment(0.0, 1.0, "sad", {"sad": 1.0}, {"sad": 0.5})
    assert with_recent.as_dict()["recent"] == {"sad": 0.5}


def test_tables_have_the_segmented_index_of_audformat(predictor: affekt.Predictor) -> None:
    predictions = [*predictor.predict(FILES)]
    table = affekt.to_frame(predictions)
    assert audformat.is_segmented_index(table)
    pd.testing.assert_index_equal(
        table.index,
        audformat.segmented_index(
            [str(file) for file in FILES],
            [0.0] * len(FILES),
            [each.duration for each in predictions],
        ),
    )
    assert [*table.columns] == ["label", "confidence", *(f"p_{label}" for label in LABELS)]
    assert [*table["label"]] == [each.label for each in predictions]
    windows = predictions[0].to_frame()
    assert audformat.is_segmented_index(windows)
    assert len(windows) == len(predictions[0].segments)
    assert windows["p_sad"].iloc[-1] == predictions[0].probabilities["sad"]
    joined = audformat.utils.concat([windows[["p_sad"]], predictions[1].to_frame()[["p_sad"]]])
    assert len(joined) == len(windows) + len(predictions[1].segments)


def test_tables_of_timelines(predictor: affekt.Predictor) -> None:
    expected = [*predictor.timeline(FILES[0])]
    timeline = predictor.timeline(FILES[0])
    table = timeline.to_frame()
    assert audformat.is_segmented_index(table)
    assert [*timeline] == expected  # a table takes nothing
    pd.testing.assert_frame_equal(table, affekt.to_frame(expected))
    empty = predictor.timeline(np.zeros(RATE), sample_rate=RATE).to_frame()
    assert audformat.is_segmented_index(empty)
    assert [*empty.columns] == [*table.columns]
    assert len(empty) == 0


def test_predictions_are_drawn(predictor: affekt.Predictor) -> None:
    prediction = predictor.predict(FILES[0])
    drawn = ElementTree.fromstring(prediction._repr_html_())
    bars = [float(each.get("width", 0)) for each in drawn.iterfind(".//{*}rect")]
    shares = [*prediction.probabilities.values()]
    np.testing.assert_allclose(np.array(bars) / bars[0], np.array(shares) / shares[0], atol=0.01)
    written = [each.text for each in drawn.iterfind(".//{*}text")]
    assert {*LABELS} <= {*written}
    evil = affekt.Prediction("<script>", 1.0, "a&b", {"a&b": 1.0}, ())
    assert "<script>" not in evil._repr_html_()
    ElementTree.fromstring(evil._repr_html_())


def test_timelines_are_drawn_and_nothing_is_taken(predictor: affekt.Predictor) -> None:
    expected = [*predictor.timeline(FILES[-1])]
    timeline = predictor.timeline(FILES[-1])
    drawn = timeline._repr_html_()
    assert timeline._repr_html_() == drawn
    assert [*timeline] == expected
    boxes = [*ElementTree.fromstring(drawn).iterfind(".//{*}rect")]
    tips = [each.findtext("{*}title") for each in boxes]
    assert len(boxes) == sum(p >= 0.05 for each in expected for p in each.probabilities.values())
    assert any(f": {expected[0].label} {expected[0].confidence:.0%}" in f"{tip}" for tip in tips)
    (named,) = [replace(each, file="R&B.wav") for each in expected[:1]]
    title = ElementTree.fromstring(draw_timeline([named], LABELS)).findtext("{*}title")
    assert f"{title}".startswith("R&B.wav: 1 utterance, ")
    long = replace(expected[0], start=0.0, end=expected[0].end + 1.0)  # of another speaker
    both = ElementTree.fromstring(draw_timeline([expected[0], long], LABELS))
    lefts = [float(each.get("x", 0)) for each in both.iterfind(".//{*}rect")]
    assert min(lefts) == NAMES
    silence = predictor.timeline(np.zeros(RATE), sample_rate=RATE)._repr_html_()
    assert "no speech detected" in silence
    ElementTree.fromstring(silence)


def test_all_kinds_of_bytes_are_taken_and_in_the_types(
    predictor: affekt.Predictor, sound: np.ndarray
) -> None:
    content = FILES[0].read_bytes()
    stream = predictor.stream()
    stream.push(sound[:20_000])
    saved = stream.save()
    for kind in (bytes, bytearray, memoryview):
        assert predictor.predict(kind(content)) == predictor.predict(content)
        assert predictor.restore(kind(saved)).flush() == predictor.restore(saved).flush()
        for function, name in (
            (affekt.read, "source"),
            (affekt.Stream.push, "samples"),
            (affekt.Stream.flush, "samples"),
        ):
            assert kind in get_args(inspect.get_annotations(function, eval_str=True)[name])
    assert inspect.get_annotations(affekt.Predictor.restore)["saved"] == (
        bytes | bytearray | memoryview
    )


def test_a_list_within_a_list_is_no_recording(sound: np.ndarray) -> None:
    predictor = affekt.load()  # has embeddings
    for function in (predictor.predict, predictor.embed):
        with pytest.raises(AudioError, match=r"source must be a path, .* Got <tuple>\."):
            [*function([(sound, RATE)])]  # type: ignore[list-item]


def test_masked_samples_are_refused(predictor: affekt.Predictor, sound: np.ndarray) -> None:
    masked = np.ma.masked_greater(sound, 0.0)
    whole = np.ma.masked_array(sound)
    expected = predictor.predict(sound, sample_rate=RATE)
    assert predictor.predict(whole, sample_rate=RATE) == expected
    assert predictor.stream().flush(whole) == [*expected.segments]
    with pytest.raises(AudioError, match="must not be masked"):
        predictor.predict(masked, sample_rate=RATE)
    with pytest.raises(AudioError, match="must not be masked"):
        predictor.stream().push(masked)


def test_numbers_of_numpy_in_options_give_results_as_json(
    predictor: affekt.Predictor, sound: np.ndarray
) -> None:
    stereo = np.stack([sound, sound], axis=1)
    turns = [affekt.Turn(np.float32(0), np.float32(4), f"{n}", np.int64(n)) for n in range(2)]
    start, channel = np.float32(0.5), np.int64(0)
    results = [predictor.predict(FILES[0], start=start)]
    results += [*predictor.timeline(FILES[0], start=start, channel=channel)]
    results += [*predictor.timeline(stereo, sample_rate=RATE, speakers=turns, start=start)]
    assert len(results) > 3
    for each in results:
        assert json.loads(json.dumps(each.as_dict())) == each.as_dict() | {
            name: [*value] for name, value in each.as_dict().items() if isinstance(value, tuple)
        }


@pytest.mark.parametrize("value", ["1", [1.0]])
def test_options_that_are_no_numbers_are_named(predictor: affekt.Predictor, value: object) -> None:
    calls = {
        "start": lambda: affekt.read(FILES[0], start=value),  # type: ignore[arg-type]
        "end": lambda: affekt.read(FILES[0], end=value),  # type: ignore[arg-type]
        "max_seconds": lambda: affekt.read(FILES[0], max_seconds=value),  # type: ignore[arg-type]
        "min_confidence": lambda: affekt.load(min_confidence=value),  # type: ignore[arg-type]
        "time_constant": lambda: predictor.timeline(FILES[0], time_constant=value),  # type: ignore[arg-type]
        "a turn": lambda: affekt.Turn(0.0, value, "Ann"),  # type: ignore[arg-type]
    }
    for name, call in calls.items():
        with pytest.raises(AffektError, match=rf"{name} must be|a turn must have 0 <= start"):
            call()
    with pytest.raises(ModelError, match="Name a model made by affekt export"):
        affekt.load([value])  # type: ignore[arg-type]
