"""Name methods, corpora and enrolment conditions as a paper prints them."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from affekt.evaluation.ablation import changed_knobs, groups
from affekt.evaluation.cross_corpus import RECORDINGS
from affekt.evaluation.results import Result

CORPORA = {"demos": "DEMoS", "nemo": "nEMO", "emodb": "EMO-DB", "cremad": "CREMA-D"}
CLASSIFIERS = {"rf": "random forest", "svm": "SVM", "mlp": "MLP"}
GUESSES = {"chance-majority": "Majority class", "chance-stratified": "Stratified random"}
TRUNKS = {"yamnet": "YAMNet", "whisper": "Whisper encoder"}
HEADS = {"lstm": "-LSTM", "mean": ", mean pooling", "statistics": ", statistics pooling"}
OF_YAMNET, OF_WHISPER = {"front_end", "weights", "blocks"}, {"encoder_layers", "context"}
# Knobs of methods that are no networks.
OF_OTHERS = {"method", "select_features", "task", "hop", "front_end", "weights", *RECORDINGS}


def corpus_name(corpora: str) -> str:
    """Name corpora.

    >>> corpus_name("nemo+ravdess")
    'nEMO + RAVDESS'
    """
    return " + ".join(CORPORA.get(name, name.upper()) for name in corpora.split("+"))


def enrolment_name(profile: str) -> str:
    """Name an enrolment condition.

    >>> [enrolment_name(name) for name in ("none", "random-1", "all", "sad-4", "adaptive")]
    ['none', '1 clip', 'all', '4 clips, sad', 'adaptive']
    """
    kind, _, clips = profile.rpartition("-")
    if not kind:
        return profile
    words = f"{clips} clip" if clips == "1" else f"{clips} clips"
    return words if kind == "random" else f"{words}, {kind}"


def method_name(knobs: Mapping[str, Any]) -> str:
    """Name the method of a recipe.

    >>> method_name({"method": "mfcc-svm"})
    'MFCC + deep features, SVM'
    >>> method_name({"method": "network", "head": "lstm", "frozen": True})
    'YAMNet-LSTM, frozen CNN'
    >>> method_name({"method": "network", "trunk": "whisper", "speaker_normalization": True})
    'affekt, Whisper encoder'
    """
    method = str(knobs["method"])
    if method != "network":
        features, _, classifier = method.partition("-")
        name = f"{features.upper()} + deep features, {CLASSIFIERS.get(classifier, classifier)}"
        return GUESSES.get(method, name)
    trunk = TRUNKS[knobs.get("trunk", "yamnet")]
    if knobs.get("speaker_normalization"):
        return f"affekt, {trunk}"
    words = [trunk + HEADS.get(knobs["head"], f", {knobs['head']}")]
    words += ["frozen CNN" if trunk == "YAMNet" else "frozen"] * bool(knobs.get("frozen"))
    words += ["random initialization"] * (knobs.get("weights") == "random")
    words += ["power spectrum"] * (knobs.get("front_end") == "power")
    return ", ".join(words)


def method_names(results: Sequence[Result]) -> dict[str, str]:
    """Name the method of each recipe of a table or figure, so that no two names are equal.

    The name of a variant has the changed knobs; names that are still alike have the recipe's.
    """
    methods = {result.recipe: method_name(result.knobs) for result in results}
    names, alike = dict(methods), Counter(methods.values())
    for full, *variants in groups(results).values():
        for variant in variants:
            changes = changed_knobs(full, variant)
            if changes and alike[methods[variant.recipe]] > 1:
                names[variant.recipe] += f", {changes}"
    count = Counter(names.values())
    return {r: name if count[name] == 1 else f"{name} ({r})" for r, name in names.items()}


def parts_told_apart(
    names: Sequence[str], labels: Sequence[Sequence[str]]
) -> list[tuple[str, str]]:
    """Name the files of each part of a page by the number of its labels.

    Returns:
        The file name of each part, and its labels in words for the heading, which are empty unless
        another part has the same name and as many labels.

    >>> parts_told_apart(["a", "a", "b"], [("sad", "calm"), ("low", "high"), ("low", "high")])
    [('a-2-sad-calm', ' (sad, calm)'), ('a-2-low-high', ' (low, high)'), ('b-2', '')]
    """
    plain = [f"{name}-{len(own)}" for name, own in zip(names, labels, strict=True)]
    found: dict[str, str] = {}
    for name, own in zip(plain, labels, strict=True):
        alike = plain.count(name) > 1
        file = f"{name}-" + re.sub(r"[^\w-]+", "_", "-".join(own))[:40] if alike else name
        file += f"-{len(found)}" * (file in found)
        found[file] = f" ({', '.join(own)})" * alike
    return [*found.items()]


def used_knobs(knobs: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """List the knobs that have an effect on a recipe's method, sorted by name."""
    used = set(knobs) - (OF_YAMNET if knobs.get("trunk") == "whisper" else OF_WHISPER)
    if knobs["method"] != "network":
        used &= OF_OTHERS
    return sorted((name, knobs[name]) for name in used)
