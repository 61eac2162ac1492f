"""Adapt a model to a user's own labelled recordings, and write it with its model card.

The encoder stays as it is; the head learns the new labels, from the head of the model. Before the
model learns from all recordings, networks that learn from a part of them predict the others. These
predictions give the scores in the card and the temperatures of the probabilities.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import LeaveOneGroupOut, StratifiedGroupKFold
from torch import nn

from affekt.corpora import Manifest, survey_own
from affekt.corpora.folds import Fold
from affekt.corpora.recordings import Watch, unwatched
from affekt.errors import CorpusError, ModelError, RunError, writing
from affekt.evaluation.calibration_metrics import fit_temperature
from affekt.evaluation.intervals import shown_recalls, shown_uar
from affekt.evaluation.metrics import Tally
from affekt.experiments.augmentation import Augmentation
from affekt.experiments.feature_cache import Source, sound_digest
from affekt.experiments.fold import part_of
from affekt.experiments.minibatches import Inputs, predict
from affekt.experiments.network import set_population
from affekt.experiments.profiles import profile_of, same_speaker, stacked
from affekt.experiments.recipe import Recipe
from affekt.experiments.training import seed_torch, train
from affekt.model.classifier import Classifier, fold_batch_norms, trunk_digest
from affekt.model.export import describe, write_network
from affekt.model.model_file import load_with_metadata
from affekt.model.pretrained import OFFICIAL, TURN_DETECTOR
from affekt.report.model_card import HEAD, Finetuned, write_card
from affekt.runs.folder import usual_locations
from affekt.runs.writing import corpora_facts

OWN = "own"  # name of the user's corpus
FOLDS = 5
TRAINING = Recipe(
    "finetuned",
    frozen=True,
    optimizer="adamw",
    schedule="one-cycle",
    learning_rate=1e-3,
    weight_decay=1e-2,
    label_smoothing=0.1,
    epochs=20,
    checkpoint="last",
)


def load_features(network: Classifier, manifest: Manifest, cache: Path) -> Inputs:
    """The outputs of a model's encoder for all clips, from the cache or computed now."""
    digest = sound_digest(manifest)
    source = Source(manifest, digest, network.architecture, Augmentation(), cache)
    return Inputs(features=(source.features(network, ["model file", trunk_digest(network)], 0),))


def adapt(
    network: Classifier,
    manifest: Manifest,
    inputs: Inputs,
    rows: NDArray[np.int64],
    seed: tuple[int, int],
    *,
    pretrained: bool = True,
) -> Classifier:
    """Train a new head, or one that starts from the head of a model, on the model's encoder.

    Args:
        network: the model to start from; unchanged.
        inputs: of :func:`load_features`.
        rows: ``(clips,)`` to learn from.
        pretrained: start from the model's head, with random weights for labels that it lacks;
            otherwise from a random head.

    Returns:
        The trained network in evaluation mode.

    Raises:
        RunError: the loss diverged.
    """
    seed_torch(*seed)
    adapted = _with_labels(network, manifest.labels, pretrained=pretrained)
    set_population(adapted, inputs.features, rows)
    recipe = TRAINING.with_(speaker_normalization=adapted.speaker is not None)
    learnt, none = (part_of(manifest, part, balance=True) for part in (rows, rows[:0]))
    train(adapted, inputs, learnt, none, None, recipe=recipe, seed=seed)
    return adapted.eval()


def _with_labels(network: Classifier, labels: tuple[str, ...], *, pretrained: bool) -> Classifier:
    """Copy a network, with another last layer; classes of labels in both keep their weights."""
    before = network.architecture.labels
    adapted = fold_batch_norms(Classifier(replace(network.architecture, labels=labels)))
    kept = {
        name: weight
        for name, weight in network.state_dict().items()
        if not name.startswith("head." if not pretrained else "head.classes.")
    }
    adapted.load_state_dict(kept | {"temperature": torch.ones(())}, strict=False)
    pairs = [(before.index(label), at) for at, label in enumerate(labels) if label in before]
    if pretrained and pairs:
        olds, news = (torch.tensor(each) for each in zip(*pairs, strict=True))
        old, new = network.head.classes, adapted.head.classes
        axis = 0 if isinstance(old, nn.Linear) else -1  # of the labels
        with torch.no_grad():
            for name, weight in new.named_parameters():
                weight.index_copy_(axis, news, old.get_parameter(name).index_select(axis, olds))
    return adapted


def predict_both(
    network: Classifier, manifest: Manifest, inputs: Inputs, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probabilities ``(clips, labels)`` without enrolment, and with all other clips enrolled."""
    unknown = predict(network, inputs, rows)
    enrolled = unknown
    if network.speaker:
        others = same_speaker(manifest, rows)
        profiles = stacked(profile_of(inputs.features[0], others[int(row)]) for row in rows)
        enrolled = predict(network, inputs, rows, profiles=profiles)
    return unknown.double().softmax(1).numpy(), enrolled.double().softmax(1).numpy()


def folds_of(manifest: Manifest) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Divide clips by speaker, or by file if there is one speaker, with balanced labels.

    Returns:
        For each fold the rows to learn from, which have all labels, and the rows that are held out.

    Raises:
        CorpusError: one label only, or one that has a single speaker, or a single file.
    """
    one = len(manifest.speakers) == 1
    groups = np.array([clip.file if one else clip.speaker for clip in manifest.clips])
    truth = np.array([clip.label for clip in manifest.clips])
    counts = {label: len({*groups[truth == label]}) for label in manifest.labels}
    few = [label for label, count in counts.items() if count < 2]
    if len(counts) < 2 or few:
        got = f"1 {'recording' if one else 'speaker'} of {', '.join(few)}" if few else f"{counts}"
        raise CorpusError(
            f"the table must have two or more labels, each with two or more "
            f"{'recordings' if one else 'speakers'}, since some are held out. Got {got}. "
            f"Add recordings, or leave a label out (--label OWN=)."
        )
    folds = [*StratifiedGroupKFold(min(FOLDS, *counts.values())).split(truth, truth, groups)]
    if any({*truth[learnt]} < {*truth} for learnt, _ in folds):  # a label would not be learned
        folds = [*LeaveOneGroupOut().split(truth, truth, groups)]
    return folds


def finetune(
    table: str | Path,
    output: str | Path,
    *,
    model: str | Path = "affekt",
    labels: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    speaker: str = "",
    seed: int = 0,
    watch: Watch = unwatched,
) -> Finetuned:
    """Adapt a model to labelled recordings.

    Args:
        table: CSV or Parquet with columns file, label, speaker; files relative to it. Or a
            manifest, or a folder of folders that are named after labels.
        output: the ``.onnx`` file to write; its card is written beside it as ``.md``.
        model: to start from: a name of a shipped model, or a file.
        labels: label of the new model by the table's own; an empty one leaves its clips out.
        columns: column of affekt by the table's own name, such as ``emotion`` for ``label``.
        speaker: for folders, a regular expression that matches the speaker in a path.
        seed: of the random numbers, 0 or above.
        watch: shows progress; gets the items and their number.

    Returns:
        The files, and the scores.

    Raises:
        CorpusError: a bad table, recordings that cannot be read, fewer than two labels, or a label
            of fewer than two speakers (with one speaker: of fewer than two recordings).
        ModelError: no such model, one that cannot be trained, or a file that cannot be written.
        RunError: a card or a cache that cannot be written.
    """
    table, output = Path(table).absolute(), Path(output)  # the card states the name of "." too
    _refuse_output(output)
    survey = survey_own(OWN, table, labels=labels, columns=columns, speaker=speaker, watch=watch)
    manifest = survey.manifest(remedy="Correct the files, or leave them out of the table.")
    folds = folds_of(manifest)
    network, start, start_file = load_with_metadata(model)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # clips are encoded on all cores, and the head is small
    try:
        cache = usual_locations(OWN, data=table.parent, runs=output.parent, weights=None).cache
        inputs = load_features(network, manifest, cache)
        everything = np.arange(len(manifest.clips))
        found = np.zeros((2, len(everything), len(manifest.labels)))
        parts = [*folds, (everything, everything[:0])]
        for number, (learnt, held) in enumerate(watch(parts, len(parts))):
            adapted = adapt(network, manifest, inputs, learnt, (seed, number))
            if len(held):
                found[:, held] = predict_both(adapted, manifest, inputs, held)
    finally:
        torch.set_num_threads(threads)
    truth = part_of(manifest, everything).truth
    temperatures = fit_temperature(found[0], truth), fit_temperature(found[1], truth)
    adapted.temperature.fill_(temperatures[0])
    adapted.temperature_known.fill_(temperatures[1])
    facts = _described(adapted, start, manifest, output.stem, seed)
    write_network(adapted, json.dumps(facts), output)
    unknown, enrolled = (_tally(manifest, truth, each) for each in found)
    made = Finetuned(
        output,
        manifest.labels,
        clips=len(everything),
        speakers=len(manifest.speakers),
        uar=shown_uar(unknown),
        uar_enrolled=shown_uar(enrolled) if network.speaker else None,
        recalls=shown_recalls(unknown),
        temperatures=temperatures,
    )
    write_card(made, start, start_file, table.name, facts["licence"])
    return made


def _refuse_output(output: Path) -> None:
    """Find out before minutes of training that the files cannot be written."""
    if output.suffix != ".onnx" or not output.absolute().parent.is_dir():
        raise RunError(
            f"the output must be a file .onnx in a folder that exists. Got {output}. Name another."
        )
    with writing(output, ModelError):
        TemporaryFile(dir=Path(os.path.realpath(output)).parent).close()
    card = output.with_suffix(".md")
    if card.exists() and not card.read_text("utf-8", "replace").startswith(HEAD):
        raise RunError(
            f"{card} must not exist, or be a model card, since {output.name} gets its card there. "
            f"Got another file. Name another output."
        )


def _described(
    network: Classifier, start: Mapping[str, Any], manifest: Manifest, name: str, seed: int
) -> dict[str, Any]:
    """Metadata of the new file; profiles of the start fit it, since the encoder is the same."""
    own = corpora_facts(manifest, Fold(1, manifest.speakers, (), ()), manifest.digest)
    recipe = f"{start['recipe']}-finetuned-{seed}"
    facts = {"corpora": [*start["corpora"], *own], "digest": recipe}
    of_trunk = TURN_DETECTOR if network.architecture.trunk == "whisper" else "yamnet.tflite"
    facts["encoder"] = start.get("encoder", OFFICIAL[of_trunk].credit)  # older files lack it
    return describe(network, facts, name) | {"profile": start.get("profile")}


def _tally(manifest: Manifest, truth: NDArray[np.int64], found: NDArray[np.float64]) -> Tally:
    who = np.array([manifest.speakers.index(clip.speaker) for clip in manifest.clips])
    labels = len(manifest.labels)
    counts = np.zeros((1, len(manifest.speakers), labels, labels), np.int64)
    np.add.at(counts[0], (who, truth, found.argmax(axis=1)), 1)
    return Tally(manifest.labels, (0,), manifest.speakers, counts)
