"""Define the knobs of a recipe, and check their values by themselves and against each other."""

import json
from collections.abc import Callable
from dataclasses import Field, field, fields
from typing import TYPE_CHECKING, Any

from affekt.corpora import CORPORA
from affekt.corpora.joined import JOINT
from affekt.errors import RecipeError
from affekt.model.heads import HEADS, decays, ensembles

if TYPE_CHECKING:
    from affekt.experiments.recipe import Recipe

OF_YAMNET = ("front_end", "weights", "blocks", "precision")
OF_WHISPER = ("encoder_layers", "context")
OF_FEATURES = ("hop", *OF_YAMNET)  # not used by the chance baselines
OF_ENSEMBLES = ("ensemble_size", "recent_time_constant")
AUGMENTATIONS = ("augment_channel", "augment_bandwidth", "augment_noise")
#: Knobs of every method; all others are of networks.
OF_METHODS = (
    *("name", "corpus", "task", "partial", "protocol", "folds", "held_out", "source"),
    *("validation", "seed", "method", "select_features", "hop", "front_end", "weights"),
)


def knob(
    default: Any,
    meaning: str,
    *,
    source: str = "",
    unit: str = "",
    allowed: tuple[str, ...] = (),
    within: tuple[float, float] | None = None,
) -> Any:
    """Define a knob: its default, meaning, source, unit, and allowed values or range."""
    metadata = {"meaning": meaning, "source": source, "unit": unit}
    return field(default=default, metadata={**metadata, "allowed": allowed, "within": within})


def check_value(recipe: "Recipe", of: Field[Any]) -> None:
    """Raise a RecipeError for a value of another type than the default, or outside its range.

    A list becomes a tuple, and a whole number a float where needed.
    """
    name, default, meta = of.name, of.default, of.metadata
    value: Any = getattr(recipe, name)
    kind: Any = type(default)
    if kind is tuple:
        fits = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
        wanted = "a list of strings"
    elif meta["allowed"]:
        fits, wanted = value in meta["allowed"], f"one of {', '.join(meta['allowed'])}"
    elif meta["within"]:
        low, high = meta["within"]
        fits = type(value) in (kind, int) and low <= value <= high
        wanted = f"{kind.__name__} in [{low}, {high}]"
    else:
        fits = type(value) is kind
        wanted = "true or false" if kind is bool else kind.__name__
    if not fits:
        raise RecipeError(
            f"{name} of recipe {recipe.name} must be {wanted}. Got {value!r}. "
            f"Leave it out for the default, {json.dumps(default)}."
        )
    object.__setattr__(recipe, name, kind(value))


def refuse_clashes(recipe: "Recipe") -> None:
    """Raise a RecipeError for a knob without effect, or two that exclude each other."""
    _refuse_without_effect(recipe)
    for name, what, protocol in (
        ("held_out", "the test speakers", "held-out"),
        ("source", "the training corpus", "train-on-one-corpus"),
    ):
        value = getattr(recipe, name)
        if (recipe.protocol == protocol) != bool(value):
            raise RecipeError(
                f"{name} of recipe {recipe.name} must name {what} of protocol {protocol}, "
                f"and of no other. Got {json.dumps(value)} with protocol {recipe.protocol}. "
                f"Change one of the two."
            )
    _refuse_together(recipe)


def _refuse_without_effect(recipe: "Recipe") -> None:
    """Reject knobs that have no effect with the others."""

    def heads(able: Callable[[str], bool]) -> str:
        return " or ".join(filter(able, HEADS))

    method = recipe.method.partition("-")[0]
    corpora = recipe.corpus.split(JOINT)
    votes = any(name in CORPORA and CORPORA[name].perceived for name in corpora)
    of_networks = [each.name for each in fields(recipe) if each.name not in OF_METHODS]
    for unused, names, needed in (
        (method != "network", of_networks, "method network"),
        (method == "chance", OF_FEATURES, "a method with features"),
        (method in ("network", "chance"), ("select_features",), "a baseline's features"),
        (recipe.protocol == "train-on-everybody", ("validation",), "other protocols"),
        (recipe.protocol != "speaker-folds", ("folds",), "protocol speaker-folds"),
        (recipe.trunk != "yamnet", OF_YAMNET, "trunk yamnet"),
        (recipe.trunk != "whisper", OF_WHISPER, "trunk whisper"),
        (not decays(recipe.head), ("time_constant",), f"head {heads(decays)}"),
        (not ensembles(recipe.head), OF_ENSEMBLES, f"head {heads(ensembles)}"),
        (not recipe.augmented_speakers, AUGMENTATIONS, "augmented_speakers"),
        (recipe.frozen, ("precision",), "a network that is not frozen"),
        (not votes, ("perceived",), "a corpus that publishes votes, such as cremad"),
    ):
        for name in names:
            if unused and name in recipe.changed:
                raise RecipeError(
                    f"{name} of recipe {recipe.name} has no effect without {needed}. "
                    f"Got {json.dumps(getattr(recipe, name))}. Leave it out, or set it to its "
                    f"default, {json.dumps(getattr(type(recipe), name))}."
                )


def _refuse_together(recipe: "Recipe") -> None:
    """Reject knobs that exclude each other."""
    everybody = recipe.protocol == "train-on-everybody"
    why = "protocol train-on-everybody, which has no validation speakers"
    unchanged = "speaker_normalization: a profile is of features that do not change in training"
    whisper, power = recipe.trunk == "whisper", recipe.front_end == "power"
    for wrong, name, must in (
        (everybody and recipe.method != "network", "method", f"network with {why}"),
        (everybody and recipe.checkpoint == "best", "checkpoint", f"last or averaged with {why}"),
        (recipe.speaker_normalization and not recipe.frozen, "frozen", f"true with {unchanged}"),
        (whisper and recipe.loudness != "running", "loudness", "running with trunk whisper"),
        (power and recipe.loudness != "given", "loudness", "given with front_end power"),
    ):
        if wrong:
            raise RecipeError(
                f"{name} of recipe {recipe.name} must be {must}. "
                f"Got {json.dumps(getattr(recipe, name))}. Change one of the two."
            )
