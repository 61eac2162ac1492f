"""Every knob of an experiment on one page: type, default, unit, what it does, where it is from.

A recipe file is TOML and holds only what differs from these defaults; its name is the recipe's.

Source: "paper" is Sharan, Mascolo & Schuller, "Emotion Recognition from Speech Signals by
Mel-Spectrogram and a CNN-RNN".
"""

import difflib
import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from affekt.audio.windows import TAILS, WINDOW, WINDOW_HOP
from affekt.errors import RecipeError
from affekt.experiments.clashes import YAMNET, refuse_clashes
from affekt.experiments.knob import check, knob

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


@dataclass(frozen=True)
class Recipe:
    """One experiment: which recordings, which folds, which method, how it is trained.

    Raises:
        RecipeError: a value of another type than its default, or outside its range.
    """

    name: str = field(metadata={"meaning": "the file's name"})
    # recordings
    corpus: str = knob("ravdess", "corpus whose form reads the recordings, or several joined by +")
    task: str = knob("four", "label set", allowed=("four", "all"))
    partial: bool = knob(False, "accept a corpus with recordings missing")
    # folds
    protocol: str = knob(
        "leave-one-speaker-out",
        "who is tested when",
        source="paper, III-A",
        allowed=PROTOCOLS,
    )
    folds: int = knob(10, "folds of speaker-folds", source="paper, III-A", low=2, high=1_000)
    held_out: tuple[str, ...] = knob((), "test speakers of held-out, such as ravdess:21")
    source: str = knob("", "corpus that train-on-one-corpus learns from")
    validation: float = knob(
        0.2, "validation part of the other speakers", source="paper, III-A", low=0.01, high=0.9
    )
    seed: int = knob(0, "of folds, weights and batches", low=0, high=2**31 - 1)
    # method
    method: str = knob("network", "what is trained", allowed=METHODS)
    hop: int = knob(
        WINDOW_HOP,
        "from one window's start to the next, at 16 kHz",
        unit="samples",
        source="paper, II-A",
        low=1,
        high=WINDOW,
    )
    tail: str = knob("drop", "a last window that does not fill: left out, or padded", allowed=TAILS)
    backbone: str = knob(
        YAMNET,
        "what hears the windows: yamnet, or hf: and a speech encoder's folder or name on the hub",
        source="paper, II-B",
    )
    front_end: str = knob(
        "magnitude",
        "log-mel of YAMNet, or of the paper's equations (1) and (2)",
        allowed=("magnitude", "power"),
    )
    level: str = knob(
        "given",
        "what the CNN hears: as recorded; at one loudness; at that and half the way to a flat "
        "mean spectrum, both as it is heard",
        allowed=("given", "running", "spectrum"),
    )
    weights: str = knob(
        "yamnet.tflite",
        "what the CNN starts from",
        source="paper, II-B",
        allowed=("yamnet.tflite", "yamnet.h5", "random"),
    )
    blocks: int = knob(
        13, "separable blocks of the CNN that are kept", source="paper, II-B", low=1, high=13
    )
    columns: int = knob(
        1, "columns of a cut CNN's last layer that are averaged into one step", low=1, high=12
    )
    frozen: bool = knob(False, "keep the CNN as it starts", source="paper, II-B")
    profile: bool = knob(
        False, "normalize the CNN's activations by who speaks (only if it is frozen)"
    )
    head: str = knob(
        "lstm",
        "what reads the windows",
        source="paper, II-C",
        allowed=("lstm", "mean", "statistics", "transformer"),
    )
    memory: float = knob(
        0.0,
        "time after which what was heard weighs 1/e in a head's sums; 0: for ever",
        unit="seconds",
        low=0.0,
        high=3_600.0,
    )
    members: int = knob(
        1, "statistics heads that learn side by side and answer together", low=1, high=64
    )
    # training
    voices: int = knob(0, "simulated speakers made of each training speaker", low=0, high=64)
    places: bool = knob(
        False, "put each simulated speaker elsewhere: another microphone, room, telephone"
    )
    balance: bool = knob(False, "let every class of every corpus weigh the same in the loss")
    optimizer: str = knob(
        "adam",
        "adamw takes its weight decay apart from the gradient",
        source="paper, III-A",
        allowed=("adam", "adamw"),
    )
    schedule: str = knob(
        "constant",
        "of the step: constant, or one cycle up to learning_rate and down to nothing",
        source="paper, III-A",
        allowed=("constant", "one-cycle"),
    )
    learning_rate: float = knob(3e-4, "Adam's step", source="paper, III-A", low=1e-8, high=1.0)
    weight_decay: float = knob(0.0, "L2 penalty in Adam's gradient", low=0.0, high=1.0)
    label_smoothing: float = knob(
        0.0, "share of each label that is spread over all", low=0.0, high=0.9
    )
    batch: int = knob(24, "mini-batch", unit="clips", source="paper, III-A", low=1, high=4096)
    epochs: int = knob(
        50, "passes over the training part", source="paper, III-A", low=1, high=10_000
    )
    keep: str = knob(
        "best",
        "epoch kept: best validation UAR (ties: lower loss), or the last",
        allowed=("best", "last"),
    )
    precision: str = knob(
        "float32",
        "arithmetic of the CNN; bfloat16 is faster on some processors and slower on others",
        allowed=("float32", "bfloat16"),
    )
    # teacher and student
    teach: bool = knob(False, "write the answers to training clips, for a student to learn from")
    teacher: str = knob(
        "", "run folder in that of the runs, or kept results, of the same folds, to learn from"
    )
    teacher_share: float = knob(
        0.5, "of the teacher's answers in the loss; the rest is the labels'", low=0.0, high=1.0
    )
    temperature: float = knob(
        2.0, "what both sides' logits are divided by to compare them", low=1.0, high=100.0
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            if each.metadata.get("source") is not None:
                check(self, each.name, each.metadata, each.default)
        if self.backbone != YAMNET and not self.backbone.startswith("hf:"):
            raise RecipeError(
                f"backbone of recipe {self.name} must be yamnet, or hf: and a folder or a name on "
                f"the hub. Got {self.backbone!r}. Leave it out for YAMNet."
            )
        refuse_clashes(self)

    @property
    def changed(self) -> dict[str, Any]:
        """The knobs that differ from their defaults, without the name."""
        return {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if each.name != "name" and getattr(self, each.name) != each.default
        }

    @property
    def digest(self) -> str:
        """12 hex digits over :attr:`changed`: a new knob leaves the digests of old recipes."""
        text = json.dumps(self.changed, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def run(self) -> str:
        """Name of the run's folder: ``<recipe>-<digest>``."""
        return f"{self.name}-{self.digest}"

    def values(self) -> dict[str, Any]:
        """All knobs, as ``recipe.json`` holds them."""
        return asdict(self)

    def with_(self, **changes: Any) -> "Recipe":
        """The same recipe with some knobs changed, checked as a file's are."""
        _refuse_unknown(changes, self.name)
        return replace(self, **changes)


def _refuse_unknown(knobs: Any, where: object) -> None:
    known = [each.name for each in fields(Recipe) if each.name != "name"]
    for name in knobs:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            hint = f"Did you mean {near[0]}?" if near else "See `affekt run --help`."
            raise RecipeError(
                f"recipe {where} must hold only the knobs of `affekt run --help`. "
                f"Got {name!r}. {hint}"
            )


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe file.

    Args:
        path: TOML with knobs that differ from the defaults.

    Returns:
        The recipe, named as the file.

    Raises:
        RecipeError: no such file, not TOML, an unknown knob, or a bad value.
    """
    path = Path(path)
    try:
        knobs = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(
            f"{path} must be a recipe file. Got {error.strerror}. See the folder recipes/."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} must be TOML. Got a fault: {error}. Correct it.") from error
    _refuse_unknown(knobs, path)
    return Recipe(name=path.stem, **knobs)
