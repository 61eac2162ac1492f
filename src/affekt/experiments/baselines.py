"""Fit the paper's baselines: cepstra and deep features with RF, SVM or MLP.

A clip is one vector: statistics of its cepstra and of the embeddings that the pretrained YAMNet
gives for its windows. Nothing is fitted for them, so one matrix serves all folds and classifiers.

Scaling, feature selection by one-way ANOVA and the classifier are one scikit-learn pipeline,
fitted on the training speakers of a fold. Its hyperparameters are chosen by UAR on the validation
speakers. It is not fitted again with them, so baselines and network have the same training clips.
Classes are not weighted, as in the network's loss. Two further kinds use no features: chance.

Source: Sharan, Mascolo & Schuller, Table II. The grids are powers of ten around scikit-learn's
defaults, and coarse, since a fold has about five validation speakers.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import SelectPercentile, VarianceThreshold, f_classif
from sklearn.model_selection import ParameterGrid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from affekt.audio.cepstra import clip_features, statistics
from affekt.corpora.recordings import read_samples
from affekt.errors import LabelError
from affekt.experiments.feature_cache import Source, cached, each_clip
from affekt.experiments.network import load_trunk
from affekt.experiments.recipe import Recipe
from affekt.experiments.training import seed_torch, validation_uar
from affekt.model.yamnet import YAMNet
from affekt.runs.folder import Locations

FORMAT = 1  # of the matrix of features; part of its digest
TREES = 300
HIDDEN = (100,)  # units of the perceptron's one hidden layer
EPOCHS = 200  # fixed: early stopping would need a part of the training speakers
PERCENTILES = (5, 20, 100)  # % of the features kept, the most discriminative by ANOVA's F

SHARE = "select__percentile"

# Grid of each kind; the first of equal settings is chosen, so the simpler ones come first.
GRIDS: Mapping[str, Mapping[str, Sequence[object]]] = {
    "rf": {SHARE: PERCENTILES},
    "svm": {SHARE: PERCENTILES, "classify__C": (0.1, 1.0, 10.0, 100.0)},
    "mlp": {SHARE: PERCENTILES, "classify__alpha": (1.0, 0.01)},
    "chance-majority": {},
    "chance-stratified": {},
}
KINDS = tuple(GRIDS)


def load_features(recipe: Recipe, source: Source, locations: Locations) -> NDArray[np.float32]:
    """Features of all clips, with the cepstra of the recipe's method; cached.

    Returns:
        ``(clips, 2126)``, in the manifest's order.

    Raises:
        AudioError: a recording that does not decode.
        ModelError: no weights, or others than the official ones.
        RunError: the cache cannot be written.
    """
    cepstra, _, _ = recipe.method.partition("-")
    seed = recipe.seed if recipe.weights == "random" else None
    facts = [FORMAT, source.digest, recipe.front_end, recipe.hop, recipe.weights, seed, cepstra]
    manifest = source.manifest

    def compute() -> tuple[NDArray[np.float32]]:
        seed_torch(recipe.seed)
        trunk = YAMNet()
        # all clips may be used: an unfolded batch norm changes no embedding
        load_trunk(trunk, recipe, source, np.arange(len(manifest.clips)), locations)
        trunk.eval()
        patches = source.patches()

        def row(clip: int) -> NDArray[np.float32]:
            samples = read_samples(manifest, manifest.clips[clip])
            with torch.inference_mode():
                embeddings = trunk(patches.gather([clip]))[:, 0].numpy()
            own = clip_features(samples, cepstra)  # type: ignore[arg-type]
            return np.concatenate([own, statistics(embeddings)])

        return (np.stack(each_clip(row, manifest, f"{cepstra} features")),)

    (features,) = cached(locations.cache, ("features",), facts, compute)
    return np.array(features)


@dataclass
class Baseline:
    """A scikit-learn classifier with its scaling and selection, or chance."""

    kind: str  #: one of ``KINDS``
    labels: tuple[str, ...]  #: all labels of the task, in the order of the probabilities
    #: of trees, initial weights, shuffling and stratified chance; mixed with the training rows, or
    #: every fold would draw the same
    seed: int
    #: whether the share of features is chosen by ANOVA, or all are used
    select_features: bool = True
    #: the chosen settings; empty before ``fit``
    chosen: dict[str, object] = field(default_factory=dict, init=False)
    #: UAR on validation speakers, in [0, 1], over the labels that they have. NaN before ``fit``.
    validation_uar: float = field(default=np.nan, init=False)
    _pipeline: Pipeline | None = field(default=None, init=False, repr=False)

    def fit(
        self,
        features: NDArray[np.float32],
        truth: NDArray[np.str_],
        *,
        train: NDArray[np.int64],
        validation: NDArray[np.int64],
    ) -> Self:
        """Fit every setting of the grid on ``train`` and keep the best on ``validation``.

        Args:
            features: ``(clips, features)``; rows of neither part are never read.
            truth: ``(clips,)`` annotated labels.
            train: rows of the training speakers' clips, two labels at least.
            validation: rows of the validation speakers' clips.

        Returns:
            Itself, fitted.

        Raises:
            LabelError: fewer than two labels to learn.
        """
        learned = sorted({str(label) for label in truth[train]})
        if len(learned) < 2:
            raise LabelError(
                f"labels to learn must be two or more of {', '.join(self.labels)}. "
                f"Got {', '.join(learned)}. Check the manifest's task."
            )
        state = np.random.SeedSequence([self.seed, *train.tolist()]).generate_state(1)[0]
        unfitted = _pipeline(self.kind, int(state))
        wanted = np.array([self.labels.index(label) for label in truth[validation]])
        self.validation_uar = -1.0
        grid = dict(GRIDS[self.kind])
        if not self.select_features and SHARE in grid:
            grid[SHARE] = (100,)
        for settings in ParameterGrid(grid):
            pipeline = clone(unfitted).set_params(**settings)
            with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
                # EPOCHS is a budget, and F is infinite where the classes of few clips are apart
                warnings.simplefilter("ignore", ConvergenceWarning)
                pipeline.fit(features[train], truth[train])
            found = self._probabilities(pipeline, features[validation])
            uar = validation_uar(torch.from_numpy(found), wanted)
            if uar > self.validation_uar:
                self.validation_uar, self.chosen, self._pipeline = uar, settings, pipeline
        return self

    def predict_proba(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities of the labels; their largest is the prediction.

        Those of ``svm`` are the softmax of its decision values: their order is the classifier's,
        their size is not calibrated. scikit-learn's own calibration would split speakers.

        Returns:
            ``(clips, labels)`` in [0, 1], a row sums to 1; 0 for a label never seen.
        """
        assert self._pipeline, "fit() comes first"
        return self._probabilities(self._pipeline, features)

    def _probabilities(
        self, pipeline: Pipeline, features: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        if self.kind == "svm":
            decisions = pipeline.decision_function(features)
            if decisions.ndim == 1:  # two labels: one value, positive for the second
                decisions = np.stack([-decisions, decisions], axis=1)
            known = softmax(decisions, axis=1)
        else:
            known = pipeline.predict_proba(features)
        probabilities = np.zeros((len(features), len(self.labels)))
        probabilities[:, [self.labels.index(label) for label in pipeline.classes_]] = known
        return probabilities


def _pipeline(kind: str, random_state: int) -> Pipeline:
    if kind.startswith("chance-"):
        strategy = {"chance-majority": "most_frequent", "chance-stratified": "stratified"}[kind]
        chance = DummyClassifier(strategy=strategy, random_state=random_state)
        return Pipeline([("classify", chance)])
    classifier = {
        "rf": RandomForestClassifier(TREES, random_state=random_state),
        "svm": SVC(),
        "mlp": MLPClassifier(HIDDEN, max_iter=EPOCHS, random_state=random_state),
    }[kind]
    return Pipeline(
        [
            ("vary", VarianceThreshold()),  # ANOVA is undefined for units that are always zero
            ("scale", StandardScaler()),
            ("select", SelectPercentile(f_classif)),
            ("classify", classifier),
        ]
    )
