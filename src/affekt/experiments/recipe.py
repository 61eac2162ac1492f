"""List every setting (knob) of an experiment: type, default, unit, meaning and source.

A recipe file is TOML and holds only what differs from these defaults, or from the recipe that it
names as its base. The recipe's name is the file's.

Source: "paper" is Sharan, Mascolo & Schuller, "Emotion Recognition from Speech Signals by
Mel-Spectrogram and a CNN-RNN".
"""

import difflib
import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from affekt.aliases import to_stored
from affekt.audio.windows import LAST_WINDOW, WINDOW, WINDOW_HOP
from affekt.errors import RecipeError
from affekt.experiments.recipe_checks import check_value, knob, refuse_clashes
from affekt.model.architecture import LOUDNESS, TRUNKS
from affekt.model.heads import HEADS
from affekt.model.logmel import FRONT_ENDS
from affekt.runs.folder import RunIdentity

PROTOCOLS = (
    "leave-one-speaker-out",
    "speaker-folds",
    "held-out",
    "leave-one-corpus-out",
    "train-on-one-corpus",
    "train-on-everybody",
)
METHODS = (
    "network",
    *(f"{cepstra}-{kind}" for cepstra in ("mfcc", "gtcc") for kind in ("rf", "svm", "mlp")),
    "chance-majority",
    "chance-stratified",
)
KNOB_COLUMNS = ("knob", "default", "unit", "meaning", "source")


@dataclass(frozen=True)
class Recipe:
    """One experiment: recordings, folds, method, and training.

    Raises:
        RecipeError: a value of another type than its default, or outside its range.
    """

    name: str  # of the file
    # recordings
    corpus: str = knob("ravdess", "corpus of the recordings, or several joined by +")
    task: str = knob("four", "label set", allowed=("four", "all"))
    partial: bool = knob(False, "accept a corpus with missing recordings")
    # folds
    protocol: str = knob(
        "leave-one-speaker-out",
        "how speakers are divided into folds",
        source="paper, III-A",
        allowed=PROTOCOLS,
    )
    folds: int = knob(
        10, "number of folds of speaker-folds", source="paper, III-A", within=(2, 1_000)
    )
    held_out: tuple[str, ...] = knob((), "test speakers of held-out, such as ravdess:21")
    source: str = knob("", "training corpus of train-on-one-corpus")
    validation: float = knob(
        0.2, "share of the other speakers for validation", source="paper, III-A", within=(0.01, 0.9)
    )
    seed: int = knob(0, "seed of folds, weights and mini-batches", within=(0, 2**31 - 1))
    # method
    method: str = knob("network", "what is trained", allowed=METHODS)
    select_features: bool = knob(
        True, "choose the share of a baseline's features by ANOVA; false: use all"
    )
    hop: int = knob(
        WINDOW_HOP,
        "distance between the starts of windows, at 16 kHz",
        unit="samples",
        source="paper, II-A",
        within=(1, WINDOW),
    )
    last_window: str = knob(
        "drop", "drop a last window that is not full, or pad it with zeros", allowed=LAST_WINDOW
    )
    trunk: str = knob(
        "yamnet",
        "pretrained network: YAMNet, or the first layers of Whisper-tiny's encoder",
        source="paper, II-B",
        allowed=TRUNKS,
    )
    front_end: str = knob(
        "magnitude",
        "YAMNet's log-mel, or that of the paper's equations (1) and (2)",
        allowed=FRONT_ENDS,
    )
    loudness: str = knob(
        "given",
        "given: as recorded; running: windows are normalized by the running loudness",
        allowed=LOUDNESS,
    )
    weights: str = knob(
        "yamnet.tflite",
        "initial weights of YAMNet",
        source="paper, II-B",
        allowed=("yamnet.tflite", "random"),
    )
    blocks: int = knob(
        13, "number of separable blocks of YAMNet in use", source="paper, II-B", within=(1, 13)
    )
    encoder_layers: int = knob(
        2, "number of transformer layers of Whisper's encoder in use", within=(1, 4)
    )
    context: int = knob(
        1, "number of earlier windows in the input of Whisper's encoder", within=(1, 7)
    )
    frozen: bool = knob(False, "do not train the pretrained network", source="paper, II-B")
    speaker_normalization: bool = knob(
        False, "normalize the features of a frozen network by the speaker's statistics"
    )
    head: str = knob(
        "lstm", "network from features to classes", source="paper, II-C", allowed=tuple(HEADS)
    )
    time_constant: float = knob(
        0.0,
        "time after which a window's weight in the head has fallen to 1/e; 0: never",
        unit="seconds",
        within=(0.0, 3_600.0),
    )
    recent_time_constant: float = knob(
        0.0,
        "time constant of the recent probabilities, trained jointly; 0: none",
        unit="seconds",
        within=(0.0, 3_600.0),
    )
    ensemble_size: int = knob(
        1, "number of statistics heads; their logits are averaged", within=(1, 64)
    )
    # training
    augmented_speakers: int = knob(
        0, "number of simulated speakers for each training speaker", within=(0, 64)
    )
    augment_channel: bool = knob(
        False, "simulate another microphone, room or telephone for each simulated speaker"
    )
    augment_bandwidth: bool = knob(
        False, "limit the bandwidth of some simulated speakers to 4, 5.5 or 7 kHz"
    )
    augment_noise: bool = knob(
        False, "add background noise to some simulated speakers, 0 to 30 dB below them"
    )
    perceived: float = knob(
        0.0,
        "share of the perceived emotion in the training labels, beside the acted one, for corpora "
        "that publish votes on the voice alone (CREMA-D)",
        within=(0.0, 1.0),
    )
    balance: bool = knob(False, "give every class of every corpus the same weight in the loss")
    optimizer: str = knob(
        "adam",
        "optimizer; adamw decouples weight decay from the gradient",
        source="paper, III-A",
        allowed=("adam", "adamw"),
    )
    schedule: str = knob(
        "constant",
        "learning rate: constant, or one cycle up to learning_rate and down to zero",
        source="paper, III-A",
        allowed=("constant", "one-cycle"),
    )
    learning_rate: float = knob(
        3e-4, "learning rate of Adam", source="paper, III-A", within=(1e-8, 1.0)
    )
    weight_decay: float = knob(0.0, "L2 penalty in Adam's gradient", within=(0.0, 1.0))
    label_smoothing: float = knob(
        0.0, "share of each label that is distributed over all labels", within=(0.0, 0.9)
    )
    batch: int = knob(
        24, "size of a mini-batch", unit="clips", source="paper, III-A", within=(1, 4096)
    )
    epochs: int = knob(
        50, "number of passes over the training clips", source="paper, III-A", within=(1, 10_000)
    )
    checkpoint: str = knob(
        "best",
        "weights to use: epoch of the best validation UAR (ties: lower loss), last epoch, or mean "
        "of the last ten epochs, with statistics of the batch norms recomputed",
        allowed=("best", "last", "averaged"),
    )
    precision: str = knob(
        "float32",
        "arithmetic of YAMNet in training; bfloat16 is faster on some processors only",
        allowed=("float32", "bfloat16"),
    )

    def __post_init__(self) -> None:
        for each in KNOBS:
            check_value(self, each)
        refuse_clashes(self)

    @property
    def changed(self) -> dict[str, Any]:
        """The knobs that differ from their defaults, without the name."""
        values = [(each.name, getattr(self, each.name), each.default) for each in KNOBS]
        return {name: value for name, value, usual in values if value != usual}

    @property
    def digest(self) -> str:
        """12 hex digits over :attr:`changed`: a new knob leaves the digests of old recipes."""
        text = json.dumps(to_stored(self.changed), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def run(self) -> str:
        """Name of the run's folder: ``<recipe>-<digest>``."""
        return f"{self.name}-{self.digest}"

    @property
    def identity(self) -> RunIdentity:
        """Identity of the recipe's run."""
        return RunIdentity(self.name, self.digest, self.seed, self.values())

    def values(self) -> dict[str, Any]:
        """All knobs, as ``recipe.json`` holds them."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))  # lists in place of tuples
        return values

    def with_(self, **changes: Any) -> "Recipe":
        """Return the recipe with some knobs changed, checked as those of a file."""
        refuse_unknown(changes, self.name)
        return replace(self, **changes)


KNOBS = tuple(each for each in fields(Recipe) if each.name != "name")


def refuse_unknown(knobs: Any, where: object) -> None:
    """Raise a RecipeError for a name that is no knob, which suggests the nearest one."""
    names = [each.name for each in KNOBS]
    for name in knobs:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
            hint = f"Did you mean {near[0]}?" if near else "See `affekt recipe`."
            raise RecipeError(
                f"recipe {where} must hold only knobs that `affekt recipe` lists. "
                f"Got {name!r}. {hint}"
            )


def knob_table() -> list[tuple[str, str, str, str, str]]:
    """A row of ``KNOB_COLUMNS`` for each knob: its default as TOML, its meaning with its range."""
    rows = []
    for each in KNOBS:
        meta = each.metadata
        words = [meta["meaning"]]
        if meta["allowed"]:
            words.append(f"one of {', '.join(meta['allowed'])}")
        if meta["within"]:
            words.append("{} to {}".format(*meta["within"]))
        default = json.dumps(each.default)
        rows.append((each.name, default, meta["unit"], "; ".join(words), meta["source"]))
    return rows
