"""Use affekt in scikit-learn: recordings to embeddings, and a classifier on labels of one's own.

Both estimators take recordings as :meth:`affekt.Predictor.embed` does: paths, bytes, arrays. They
hold their parameters and what they learned, not the model, so that they are cloned and pickled.
"""

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    clone,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_is_fitted, check_memory

from affekt.audio.sources import is_tensor
from affekt.audio.windows import SAMPLE_RATE
from affekt.errors import AudioError
from affekt.inference.parallel import in_order
from affekt.inference.predictor import Predictor, load
from affekt.inference.profile import Profile

Recordings = Sequence[Any] | NDArray[Any]


class EmotionEmbedding(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    """Transform recordings into embeddings: the inputs of the network's last layer.

    Args:
        model: path of a model file with embeddings, or name of a shipped one; the default model
            without.
        profile: of the speaker, or its file; no enrolment by default.
        channel: to use, from 0; the mean of all by default.
        sample_rate: Hz, of recordings that are arrays.
        jobs: recordings at a time; one a core by default.
        memory: folder, or ``joblib.Memory``, that keeps the embedding of each recording, so that a
            cross-validation computes it once. A file that changes is computed again.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        profile: Profile | str | Path | None = None,
        channel: int | None = None,
        sample_rate: int = SAMPLE_RATE,
        jobs: int | None = None,
        memory: Any = None,
    ) -> None:
        self.model = model
        self.profile = profile
        self.channel = channel
        self.sample_rate = sample_rate
        self.jobs = jobs
        self.memory = memory

    def fit(self, X: Recordings, y: object = None) -> Self:
        """Load the model; nothing is learned.

        Raises:
            AudioError: no recordings.
            ModelError: a model without embeddings.
        """
        del y
        _recordings(X)
        predictor = self._predictor()
        silence = np.zeros(SAMPLE_RATE, np.float32)
        found = predictor.embed(silence, sample_rate=SAMPLE_RATE, channel=0)
        self._n_features_out: int = found.size
        return self

    def transform(self, X: Recordings) -> NDArray[np.float32]:
        """Compute the embeddings of recordings.

        Returns:
            ``(recordings, features)``.

        Raises:
            AudioError: a recording that cannot be read.
        """
        check_is_fitted(self)
        recordings = _recordings(X)
        predictor = self._predictor()
        compute = check_memory(self.memory).cache(_embed, ignore=["predictor"])
        digest = predictor.graph.digest
        profile = predictor.profile.content() if predictor.profile else b""

        def embed(shared: Predictor, recording: Any) -> NDArray[np.float32]:
            key = digest, profile, self.channel, _stamp(recording)
            is_array = isinstance(recording, np.ndarray) or is_tensor(recording)
            rate = self.sample_rate if is_array else None
            return np.asarray(compute(recording, rate, key, predictor=shared))

        return np.stack([*in_order(predictor, embed, recordings, jobs=self.jobs)])

    def _predictor(self) -> Predictor:
        stamps = _stamp(self.model), _stamp(self.profile)  # a file may change
        return _loaded(self.model, self.profile, self.channel, stamps)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_n_features_out")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return _tags(tags)


def _classifier_has(method: str) -> Any:
    """Whether the classifier of an :class:`EmotionClassifier` has a method, as scikit-learn asks.

    An SVM, for one, has no probabilities.
    """

    def check(estimator: "EmotionClassifier") -> bool:
        fitted = getattr(estimator, "pipeline_", estimator.classifier)
        return hasattr(usual_classifier() if fitted is None else fitted, method)

    return available_if(check)


class EmotionClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Learn labels of one's own from the embeddings of recordings.

    Args:
        classifier: of the embeddings; a scaled logistic regression with balanced classes by
            default. The other arguments are those of :class:`EmotionEmbedding`.

    Attributes:
        classes_: labels in the order of the probabilities.
        pipeline_: the fitted steps.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        classifier: Any = None,
        profile: Profile | str | Path | None = None,
        channel: int | None = None,
        sample_rate: int = SAMPLE_RATE,
        jobs: int | None = None,
        memory: Any = None,
    ) -> None:
        self.model = model
        self.classifier = classifier
        self.profile = profile
        self.channel = channel
        self.sample_rate = sample_rate
        self.jobs = jobs
        self.memory = memory

    def fit(self, X: Recordings, y: Sequence[Any]) -> Self:
        """Learn the labels ``y`` of recordings.

        Raises:
            AudioError: a recording that cannot be read.
            ModelError: a model without embeddings.
        """
        check_classification_targets(y)
        options = self.get_params(deep=False)
        classifier = options.pop("classifier")
        classifier = usual_classifier() if classifier is None else clone(classifier)
        self.pipeline_ = make_pipeline(EmotionEmbedding(**options), classifier).fit(X, y)
        self.classes_: NDArray[Any] = self.pipeline_.classes_
        return self

    def predict(self, X: Recordings) -> NDArray[Any]:
        """Return the label of each recording."""
        check_is_fitted(self)
        return np.asarray(self.pipeline_.predict(X))

    @_classifier_has("predict_proba")  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Recordings) -> NDArray[np.float64]:
        """Return ``(recordings, classes)`` probabilities, in the order of ``classes_``."""
        check_is_fitted(self)
        return np.asarray(self.pipeline_.predict_proba(X))

    @_classifier_has("decision_function")  # type: ignore[untyped-decorator]
    def decision_function(self, X: Recordings) -> NDArray[np.float64]:
        """Return the classifier's scores: ``(recordings,)`` of ``classes_[1]``, or one a class."""
        check_is_fitted(self)
        return np.asarray(self.pipeline_.decision_function(X))

    def __sklearn_tags__(self) -> Any:
        return _tags(super().__sklearn_tags__())


def usual_classifier() -> Any:
    """A new classifier of embeddings: logistic regression of scaled features, balanced classes."""
    return make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1_000)
    )


def _tags(tags: Any) -> Any:
    """Say that inputs are recordings, which no generic check can make."""
    tags.input_tags.string = True
    tags.input_tags.two_d_array = True  # rows are recordings of one length
    return tags


@lru_cache(maxsize=4)
def _loaded(
    model: str | Path | None,
    profile: Profile | str | Path | None,
    channel: int | None,
    stamps: object,
) -> Predictor:
    del stamps
    return load(model, profile=profile, channel=channel)


def _embed(recording: Any, rate: int | None, key: object, predictor: Predictor) -> Any:
    """Embed one recording; the key holds all that a cached result depends on."""
    del key
    return predictor.embed(recording, sample_rate=rate)


def _recordings(values: Any) -> list[Any]:
    """List recordings: those of a list or column, or the rows of an array of numbers."""
    names = ("__iter__", "__getitem__", "__array__", "tocsr")
    listed = any(hasattr(values, name) for name in names)
    if isinstance(values, str | bytes | Path) or not listed:
        raise AudioError(
            f"X must be a list of recordings. Got one, {type(values).__name__}. Write [recording]."
        )
    if hasattr(values, "__array__") or hasattr(values, "tocsr"):
        values = check_array(values, dtype=None, ensure_2d=False, ensure_all_finite=False)
        if values.ndim > 1 and values.dtype.kind not in "OSU":
            values = check_array(values)  # a row of numbers is a recording
        elif values.ndim > 1:
            if values.shape[1] != 1:
                raise AudioError(
                    f"X must be one column of recordings. Got {values.shape[1]} columns. "
                    f"Choose one."
                )
            values = values[:, 0]
    found = [np.asarray(each) if isinstance(each, list | tuple) else each for each in values]
    if not found:
        raise AudioError("X must hold at least one recording. Got none. Name some.")
    return [str(each) if isinstance(each, np.str_) else each for each in found]


def _stamp(file: Any) -> tuple[int, int] | None:
    """Size and date of a local file; None for all else."""
    if not isinstance(file, str | Path) or not os.path.isfile(file):  # noqa: PTH113
        return None
    about = os.stat(file)  # noqa: PTH116
    return about.st_size, about.st_mtime_ns
