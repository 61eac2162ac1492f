"""Knobs that exclude each other, need each other, or would change nothing."""

import json
from typing import TYPE_CHECKING

from affekt.errors import RecipeError

if TYPE_CHECKING:
    from affekt.experiments.recipe import Recipe

YAMNET = "yamnet"
SUMMING = ("mean", "statistics")  # heads whose sums fade by the knob memory
#: Knobs of YAMNet and its log-mels, which a backbone of the hub does without.
YAMNETS = ("front_end", "level", "weights", "blocks", "columns")
#: Knobs that only a network has.
TRAINING = (
    "backbone",
    "tail",
    "level",
    "blocks",
    "columns",
    "frozen",
    "profile",
    "head",
    "memory",
    "members",
    "voices",
    "places",
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
    "teach",
    "teacher",
)
HEARING = ("hop", "front_end", "weights")  # knobs of whatever hears the recordings
DISTILLING = ("teacher_share", "temperature")  # of a student's loss


def refuse_clashes(recipe: "Recipe") -> None:
    """Hold the knobs of a recipe against each other.

    Raises:
        RecipeError: two of them do not go together.
    """
    _refuse_unused(recipe)
    _refuse_unnamed(recipe)
    _refuse_together(recipe)


def _refuse_unused(recipe: "Recipe") -> None:
    """A knob that would change nothing is a mistake, not a wish granted."""
    for unused, but in (
        (TRAINING if recipe.method != "network" else (), "method network"),
        (HEARING if recipe.method.startswith("chance") else (), "a method that hears"),
        (("validation",) if recipe.protocol == "train-on-everybody" else (), "other protocols"),
        (("folds",) if recipe.protocol != "speaker-folds" else (), "protocol speaker-folds"),
        (("memory",) if recipe.head not in SUMMING else (), f"head {' or '.join(SUMMING)}"),
        (("members",) if recipe.head != "statistics" else (), "head statistics"),
        (("places",) if not recipe.voices else (), "simulated voices"),
        (YAMNETS if recipe.backbone != YAMNET else (), "backbone yamnet"),
        (("precision",) if recipe.frozen else (), "a CNN that is trained"),
        (DISTILLING if not recipe.teacher else (), "a teacher"),
    ):
        for name in unused:
            if name in recipe.changed:
                raise RecipeError(
                    f"{name} of recipe {recipe.name} must be left out but for {but}. "
                    f"Got {getattr(recipe, name)!r}. Leave it out."
                )


def _refuse_unnamed(recipe: "Recipe") -> None:
    """A protocol that needs names has them, and no other has."""
    for name, what, protocol in (
        ("held_out", "the test speakers", "held-out"),
        ("source", "the corpus to learn from", "train-on-one-corpus"),
    ):
        value = getattr(recipe, name)
        if (recipe.protocol == protocol) != bool(value):
            raise RecipeError(
                f"{name} of recipe {recipe.name} must name {what} of protocol {protocol}, "
                f"and of no other. Got {json.dumps(value)} with protocol {recipe.protocol}."
            )


def _refuse_together(recipe: "Recipe") -> None:
    """Knobs that exclude each other."""
    if recipe.protocol == "train-on-everybody" and (
        recipe.method != "network" or recipe.keep != "last"
    ):
        raise RecipeError(
            f"keep of recipe {recipe.name} must be last where everybody trains: nobody is left "
            f'to choose by. Got {recipe.keep} and method {recipe.method}. Use keep = "last".'
        )
    if recipe.profile and not recipe.frozen:
        raise RecipeError(
            f"profile of recipe {recipe.name} must go with frozen = true: a profile is of "
            f"activations that stay what they are. Got frozen = false. Freeze the CNN."
        )
    if recipe.level != "given" and recipe.front_end != "magnitude":
        raise RecipeError(
            f"level of recipe {recipe.name} must be given with front_end {recipe.front_end}: "
            f"loudness is measured on magnitudes. Got {recipe.level}. Leave one of them out."
        )
