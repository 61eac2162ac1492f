"""Test the estimators with scikit-learn: pipelines, cross-validation, searches, and its checks."""

import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import soundfile
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.estimator_checks import check_estimator

import affekt
from affekt import sklearn as estimators
from affekt.errors import AudioError, ModelError
from affekt.sklearn import EmotionClassifier, EmotionEmbedding
from small_model import small_model
from synthetic_network import made_sound, own_model

RATE = 16_000
#: What scikit-learn asks of tables of numbers, and recordings are not.
NOT_FOR_RECORDINGS = {
    "check_n_features_in": "recordings may differ in length",
    "check_n_features_in_after_fitting": "recordings may differ in length",
    "check_transformer_general": "recordings may differ in length",
    "check_estimators_dtypes": "integers of 64 bits are no sound",
    "check_dtype_object": "objects are paths",
    "check_fit1d": "a list of recordings has one dimension",
    "check_fit2d_predict1d": "a list of recordings has one dimension",
    "check_classifiers_train": "rows of two numbers are no sound",
    "check_classifier_data_not_an_array": "integers of 64 bits are no sound",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(own_model(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Twenty-four clips of four speakers, high or low."""
    folder = tmp_path_factory.mktemp("clips")
    rows = []
    for number in range(24):
        label, speaker = ("low", "high")[number % 2], number % 4 // 2 + 2 * (number % 3 % 2)
        pitch = {"low": 110.0, "high": 320.0}[label] + 4 * number
        path = folder / f"{number}.wav"
        soundfile.write(path, made_sound(1.5, pitch), RATE)
        rows.append({"file": str(path), "label": label, "speaker": speaker})
    return pd.DataFrame(rows)


def test_recordings_become_the_embeddings_of_the_predictor(model: str, clips: pd.DataFrame) -> None:
    files = clips["file"]
    predictor = affekt.load(model)
    expected = np.stack([*predictor.embed(files)])
    embedding = EmotionEmbedding(model).fit(files)
    for same in (files, [*files], files.to_numpy(), files.map(Path), clips[["file"]]):
        np.testing.assert_array_equal(embedding.transform(same), expected)
    sounds = [affekt.read(file) for file in files]
    np.testing.assert_array_equal(embedding.transform(sounds), expected)
    np.testing.assert_array_equal(embedding.transform(np.stack(sounds)), expected)
    table = EmotionEmbedding(model).set_output(transform="pandas").fit_transform(files)
    assert [*table.columns[:2]] == ["emotionembedding0", "emotionembedding1"]
    np.testing.assert_array_equal(table.to_numpy(), expected)


def test_the_classifier_learns_and_generalizes_over_speakers(
    model: str, clips: pd.DataFrame
) -> None:
    files, labels, speakers = clips["file"], clips["label"], clips["speaker"]
    scores = cross_val_score(
        EmotionClassifier(model),
        files,
        labels,
        groups=speakers,
        cv=GroupKFold(3),
        scoring="balanced_accuracy",
    )
    assert len(scores) == 3
    assert scores.mean() > 0.9
    fitted = EmotionClassifier(model).fit(files, labels)
    assert [*fitted.classes_] == ["high", "low"]
    shares = fitted.predict_proba(files[:3])
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert [*fitted.predict(files[:3])] == [*fitted.classes_[shares.argmax(axis=1)]]
    again = pickle.loads(pickle.dumps(fitted))  # noqa: S301 -- just made here
    np.testing.assert_array_equal(again.predict_proba(files[:3]), shares)
    assert len(pickle.dumps(fitted)) < 200_000  # without the network


def test_classifiers_without_probabilities_are_scored_and_calibrated(
    model: str, clips: pd.DataFrame
) -> None:
    files, labels = clips["file"], clips["label"]
    margin = EmotionClassifier(model, classifier=LinearSVC())
    assert not hasattr(margin, "predict_proba")
    assert hasattr(EmotionClassifier(model), "predict_proba")
    assert cross_val_score(margin, files, labels, cv=2, scoring="roc_auc").mean() > 0.9
    assert not hasattr(margin.fit(files, labels), "predict_proba")
    calibrated = CalibratedClassifierCV(margin, cv=2).fit(files, labels)
    np.testing.assert_allclose(calibrated.predict_proba(files[:3]).sum(axis=1), 1)


def test_pipelines_and_searches(model: str, clips: pd.DataFrame, tmp_path: Path) -> None:
    files, labels = clips["file"], clips["label"]
    pipeline = make_pipeline(EmotionEmbedding(model), StandardScaler(), SVC())
    assert pipeline.fit(files, labels).score(files, labels) > 0.9
    search = GridSearchCV(
        EmotionClassifier(model, memory=str(tmp_path)),
        {"classifier": [LogisticRegression(max_iter=500), SVC()]},
        cv=2,
    )
    search.fit(files, labels)
    assert search.best_score_ > 0.8
    assert clone(search.best_estimator_).get_params()["model"] == model


def test_a_memory_computes_each_recording_once(
    model: str, clips: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[object] = []
    embed = affekt.Predictor.embed

    def counting(self: affekt.Predictor, source: Any, **part: Any) -> Any:
        computed.append(source)
        return embed(self, source, **part)

    monkeypatch.setattr(affekt.Predictor, "embed", counting)
    files = [shutil.copy(file, tmp_path) for file in clips["file"][:4]]
    memory = joblib.Memory(tmp_path / "memory", verbose=0)
    embedding = EmotionEmbedding(model, memory=memory).fit(files)
    first = embedding.transform(files)
    computed.clear()
    np.testing.assert_array_equal(clone(embedding).fit(files).transform(files), first)
    assert [source for source in computed if isinstance(source, str)] == []
    soundfile.write(files[0], made_sound(2.0, 500.0), RATE)
    assert not np.allclose(embedding.transform(files)[0], first[0])
    assert computed[-1:] == [files[0]]


def test_a_profile_is_used(model: str, clips: pd.DataFrame, tmp_path: Path) -> None:
    profile = affekt.load(model).enroll(clips["file"][:6])
    profile.save(tmp_path / "a.profile")
    files = [*clips["file"][:2]]
    known = EmotionEmbedding(model, profile=profile).fit(files).transform(files)
    assert not np.allclose(known, EmotionEmbedding(model).fit(files).transform(files))
    by_file = EmotionEmbedding(model, profile=tmp_path / "a.profile").fit(files)
    np.testing.assert_allclose(by_file.transform(files), known, atol=0.05)  # float16 in files


def test_another_channel_than_the_first_is_used(model: str, tmp_path: Path) -> None:
    low, high = made_sound(1.5, 110.0), made_sound(1.5, 320.0)
    soundfile.write(tmp_path / "stereo.wav", np.stack([low, high], axis=1), RATE, "FLOAT")
    second = EmotionEmbedding(model, channel=1).fit_transform([tmp_path / "stereo.wav"])
    np.testing.assert_allclose(second, EmotionEmbedding(model).fit_transform([high]), atol=1e-6)


def test_what_is_refused(model: str, clips: pd.DataFrame, tmp_path: Path) -> None:
    files = [*clips["file"][:2]]
    for values, words in (
        ("a.wav", "X must be a list of recordings"),
        (None, "X must be a list of recordings. Got one, NoneType"),
        (clips[["file", "label"]], "X must be one column of recordings. Got 2"),
        ([], "X must hold at least one recording"),
    ):
        with pytest.raises(AudioError, match=words.replace(".", r"\.")):
            EmotionEmbedding(model).fit(values)
    with pytest.raises(AudioError, match=r"none\.wav does not exist"):
        EmotionEmbedding(model).fit(files).transform(["none.wav"])
    with pytest.raises(NotFittedError):
        EmotionEmbedding(model).transform(files)
    with pytest.raises(NotFittedError):
        EmotionClassifier(model).predict(files)
    with pytest.raises(ModelError, match="must have the output embedding"):
        EmotionEmbedding(str(small_model(tmp_path / "small.onnx"))).fit(files)


def test_a_model_file_that_changes_is_loaded_again(
    model: str, clips: pd.DataFrame, tmp_path: Path
) -> None:
    files = [*clips["file"][:2]]
    replaced = str(tmp_path / "mine.onnx")
    shutil.copy(model, replaced)
    before = EmotionEmbedding(replaced).fit_transform(files)
    shutil.copy(own_model(tmp_path, blocks=3), replaced)
    after = EmotionEmbedding(replaced).fit_transform(files)
    np.testing.assert_array_equal(
        after, EmotionEmbedding(tmp_path / "own.onnx").fit_transform(files)
    )
    assert not np.array_equal(after, before)


@pytest.fixture
def forgotten() -> Iterator[None]:
    yield
    estimators._loaded.cache_clear()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", [EmotionEmbedding, EmotionClassifier])
def test_scikit_learns_own_checks(estimator: type, model: str, forgotten: None) -> None:
    results = check_estimator(estimator(model), on_fail=None, on_skip=None)
    outcomes = {
        each["check_name"]: each["status"] for each in results if each["status"] != "passed"
    }
    failed = {name for name, status in outcomes.items() if status == "failed"}
    assert failed <= {*NOT_FOR_RECORDINGS}, failed - {*NOT_FOR_RECORDINGS}
    assert len(results) - len(outcomes) >= 35
