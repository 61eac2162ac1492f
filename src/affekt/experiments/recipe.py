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
#: Knobs that only a network has.
TRAINING = (
    "tail",
    "level",
    "blocks",
    "frozen",
    "profile",
    "head",
    "memory",
    "voices",
    "balance",
    "optimizer",
    "schedule",
    "learning_rate",
    "weight_decay",
    "label_smoothing",
    "batch",
    "epochs",
    "keep",
    "precision",
)


def _knob(
    default: Any,
    meaning: str,
    *,
    source: str = "",
    unit: str = "",
    allowed: tuple[str, ...] = (),
    low: float | None = None,
    high: float | None = None,
) -> Any:
    return field(
        default=default,
        metadata={
            "meaning": meaning,
            "source": source,
            "unit": unit,
            "allowed": allowed,
            "low": low,
            "high": high,
        },
    )


@dataclass(frozen=True)
class Recipe:
    """One experiment: which recordings, which folds, which method, how it is trained.

    Raises:
        RecipeError: a value of another type than its default, or outside its range.
    """

    name: str = field(metadata={"meaning": "the file's name"})
    # recordings
    corpus: str = _knob("ravdess", "corpus whose form reads the recordings, or several joined by +")
    task: str = _knob("four", "label set", allowed=("four", "all"))
    partial: bool = _knob(False, "accept a corpus with recordings missing")
    # folds
    protocol: str = _knob(
        "leave-one-speaker-out",
        "who is tested when",
        source="paper, III-A",
        allowed=PROTOCOLS,
    )
    folds: int = _knob(10, "folds of speaker-folds", source="paper, III-A", low=2, high=1_000)
    held_out: tuple[str, ...] = _knob((), "test speakers of held-out, such as ravdess:21")
    source: str = _knob("", "corpus that train-on-one-corpus learns from")
    validation: float = _knob(
        0.2, "validation part of the other speakers", source="paper, III-A", low=0.01, high=0.9
    )
    seed: int = _knob(0, "of folds, weights and batches", low=0, high=2**31 - 1)
    # method
    method: str = _knob("network", "what is trained", allowed=METHODS)
    hop: int = _knob(
        WINDOW_HOP,
        "from one window's start to the next, at 16 kHz",
        unit="samples",
        source="paper, II-A",
        low=1,
        high=WINDOW,
    )
    tail: str = _knob(
        "drop", "a last window that does not fill: left out, or padded", allowed=TAILS
    )
    front_end: str = _knob(
        "magnitude",
        "log-mel of YAMNet, or of the paper's equations (1) and (2)",
        allowed=("magnitude", "power"),
    )
    level: str = _knob(
        "given",
        "loudness that the CNN hears: as recorded, or brought to one as it is heard",
        allowed=("given", "running"),
    )
    weights: str = _knob(
        "yamnet.tflite",
        "what the CNN starts from",
        source="paper, II-B",
        allowed=("yamnet.tflite", "yamnet.h5", "random"),
    )
    blocks: int = _knob(
        13, "separable blocks of the CNN that are kept", source="paper, II-B", low=1, high=13
    )
    frozen: bool = _knob(False, "keep the CNN as it starts", source="paper, II-B")
    profile: bool = _knob(
        False, "normalize the CNN's activations by who speaks (only if it is frozen)"
    )
    head: str = _knob(
        "lstm",
        "what reads the windows",
        source="paper, II-C",
        allowed=("lstm", "mean", "statistics", "transformer"),
    )
    memory: float = _knob(
        0.0,
        "time after which what was heard weighs 1/e in a head's sums; 0: for ever",
        unit="seconds",
        low=0.0,
        high=3_600.0,
    )
    # training
    voices: int = _knob(0, "simulated speakers made of each training speaker", low=0, high=64)
    balance: bool = _knob(False, "let every class of every corpus weigh the same in the loss")
    optimizer: str = _knob(
        "adam",
        "adamw takes its weight decay apart from the gradient",
        source="paper, III-A",
        allowed=("adam", "adamw"),
    )
    schedule: str = _knob(
        "constant",
        "of the step: constant, or one cycle up to learning_rate and down to nothing",
        source="paper, III-A",
        allowed=("constant", "one-cycle"),
    )
    learning_rate: float = _knob(3e-4, "Adam's step", source="paper, III-A", low=1e-8, high=1.0)
    weight_decay: float = _knob(0.0, "L2 penalty in Adam's gradient", low=0.0, high=1.0)
    label_smoothing: float = _knob(
        0.0, "share of each label that is spread over all", low=0.0, high=0.9
    )
    batch: int = _knob(24, "mini-batch", unit="clips", source="paper, III-A", low=1, high=4096)
    epochs: int = _knob(
        50, "passes over the training part", source="paper, III-A", low=1, high=10_000
    )
    keep: str = _knob(
        "best",
        "epoch kept: best validation UAR (ties: lower loss), or the last",
        allowed=("best", "last"),
    )
    precision: str = _knob(
        "float32",
        "arithmetic of the CNN; bfloat16 is faster on some processors and slower on others",
        allowed=("float32", "bfloat16"),
    )

    def __post_init__(self) -> None:
        for knob in fields(self):
            if knob.metadata.get("source") is not None:
                _check(self, knob.name, knob.metadata, knob.default)
        if (self.protocol == "held-out") != bool(self.held_out):
            raise RecipeError(
                f"held_out of recipe {self.name} must name the test speakers of protocol held-out, "
                f"and of no other. Got {list(self.held_out)} with protocol {self.protocol}."
            )
        _refuse_unused(self)
        if self.protocol == "train-on-everybody" and (
            self.method != "network" or self.keep != "last"
        ):
            raise RecipeError(
                f"keep of recipe {self.name} must be last where everybody trains: nobody is left "
                f'to choose by. Got {self.keep} and method {self.method}. Use keep = "last".'
            )
        if self.profile and not self.frozen:
            raise RecipeError(
                f"profile of recipe {self.name} must go with frozen = true: a profile is of "
                f"activations that stay what they are. Got frozen = false. Freeze the CNN."
            )

    @property
    def changed(self) -> dict[str, Any]:
        """The knobs that differ from their defaults, without the name."""
        return {
            knob.name: getattr(self, knob.name)
            for knob in fields(self)
            if knob.name != "name" and getattr(self, knob.name) != knob.default
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


def _check(recipe: Recipe, name: str, meta: Any, default: Any) -> None:
    value = getattr(recipe, name)
    if isinstance(default, float) and type(value) is int:
        value = float(value)
        object.__setattr__(recipe, name, value)
    if isinstance(default, tuple):
        fits = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
        object.__setattr__(recipe, name, tuple(value) if fits else value)
        wanted = "a list of strings"
    elif meta["allowed"]:
        fits, wanted = value in meta["allowed"], f"one of {', '.join(meta['allowed'])}"
    elif meta["low"] is not None:
        fits = type(value) is type(default) and meta["low"] <= value <= meta["high"]
        wanted = f"{type(default).__name__} in [{meta['low']}, {meta['high']}]"
    else:
        fits, wanted = type(value) is type(default), type(default).__name__
    if not fits:
        raise RecipeError(
            f"{name} of recipe {recipe.name} must be {wanted}. Got {value!r}. "
            f"Leave it out for the default, {default!r}."
        )


def _refuse_unused(recipe: Recipe) -> None:
    """A knob that would change nothing is a mistake, not a wish granted."""
    for unused, but in (
        (TRAINING if recipe.method != "network" else (), "method network"),
        (("folds",) if recipe.protocol != "speaker-folds" else (), "protocol speaker-folds"),
        (
            ("source",) if recipe.protocol != "train-on-one-corpus" else (),
            "protocol train-on-one-corpus",
        ),
    ):
        for name in unused:
            if name in recipe.changed:
                raise RecipeError(
                    f"{name} of recipe {recipe.name} must be left out but for {but}. "
                    f"Got {getattr(recipe, name)!r}. Leave it out."
                )


def _refuse_unknown(knobs: Any, where: object) -> None:
    known = [knob.name for knob in fields(Recipe) if knob.name != "name"]
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


KNOB_COLUMNS = ("knob", "default", "unit", "meaning", "source")


def knobs() -> list[tuple[str, str, str, str, str]]:
    """A row of ``KNOB_COLUMNS`` for each knob: its default as TOML, its meaning with its range."""
    rows = []
    for knob in fields(Recipe):
        if knob.name != "name":
            meta = knob.metadata
            words = [meta["meaning"]]
            if meta["allowed"]:
                words.append(f"one of {', '.join(meta['allowed'])}")
            if meta["low"] is not None:
                words.append(f"{meta['low']} to {meta['high']}")
            default = json.dumps(knob.default)
            rows.append((knob.name, default, meta["unit"], "; ".join(words), meta["source"]))
    return rows


def knobs_markdown() -> str:
    """The same as a table in Markdown, for the documentation.

    >>> print(knobs_markdown().splitlines()[9])
    | `seed` | `0` |  | of folds, weights and batches; 0 to 2147483647 |  |
    """
    lines = [f"| {' | '.join(KNOB_COLUMNS)} |", f"|{' --- |' * len(KNOB_COLUMNS)}"]
    for name, default, *rest in knobs():
        lines.append(f"| `{name}` | `{default}` | {' | '.join(rest)} |")
    return "\n".join(lines) + "\n"
