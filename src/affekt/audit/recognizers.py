"""Open what is audited: a model file, a Python function, or a command."""

import importlib
import json
import math
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from affekt.audio.windows import SAMPLE_RATE
from affekt.errors import ModelError
from affekt.inference.predictor import Predictor, load

Sound = NDArray[np.float32]
Answer = Mapping[str, float]
CLIPS_OF_COMMAND = 4  # at once: a command needs seconds to start


@dataclass(frozen=True)
class Recognizer:
    """What is audited."""

    name: str  #: as it was given
    #: turns sounds, each ``(samples,)`` float32 at 16 kHz, into probabilities by label
    answer: Callable[[Sequence[Sound]], Sequence[Answer]]
    #: speakers of its training and validation; None if it does not state them
    trained_on: frozenset[str] | None = None
    clips: int = 1  #: number of clips whose distorted sounds it gets at once
    predictor: Predictor | None = None  #: the model, if it is one of affekt


def open_recognizer(name: str) -> Recognizer:
    """Load a shipped model, a model file, or a function of another recognizer.

    Args:
        name: of a shipped model; a path of a model file; or ``module:function``, where the
            function turns a list of paths of WAV files (mono, 16 kHz, float) into a list of
            probabilities by label. The module may lie in the working folder.

    Raises:
        ModelError: no such model, module or function.
    """
    module, colon, function = name.partition(":")
    if colon and module.replace(".", "").isidentifier() and function.isidentifier():
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as Python has it; the function imports too
        try:
            found = getattr(importlib.import_module(module), function)
        except (Exception, SystemExit) as error:  # whatever the module raises
            raise ModelError(
                f"MODEL must be a model, or module:function that Python can import. "
                f"Got {name}: {error}. Correct it."
            ) from error
        return Recognizer(name, _from_files(name, lambda paths: _called(name, found, paths)))
    predictor = load(name, limits=None)
    corpora = predictor.metadata.get("corpora")
    parts = "speakers", "validation_speakers"  # these chose the epoch
    known = (each.get(part, ()) for each in corpora or () for part in parts)
    return Recognizer(
        predictor.graph.file.stem,
        lambda sounds: [
            predictor.predict(s, sample_rate=SAMPLE_RATE).probabilities for s in sounds
        ],
        frozenset[str]().union(*known) if corpora else None,
        predictor=predictor,
    )


def open_command(command: str) -> Recognizer:
    """Audit a command that prints what ``affekt predict --json`` prints.

    Args:
        command: words of the command line. Paths of WAV files (mono, 16 kHz, float) are appended.
            It prints one JSON object a line for each path in order, with ``probabilities`` by
            label.

    Raises:
        ModelError: an empty command, or one with an open quotation.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ModelError(
            f"--command must be one command line. Got {command}: {error}. Close its quotations."
        ) from error
    if not words:
        raise ModelError("--command must name a program. Got none. Give a command line.")
    answer = _from_files(command, lambda paths: _printed(command, words, paths))
    return Recognizer(command, answer, clips=CLIPS_OF_COMMAND)


def _called(name: str, function: Callable[[list[str]], Any], paths: list[str]) -> list[Any]:
    try:
        return list(function(paths))
    except (Exception, SystemExit) as error:
        raise ModelError(
            f"{name} must turn a list of paths into a list of probabilities by label. "
            f"It raised {type(error).__name__}: {' '.join(str(error).split())}."
        ) from error


def _printed(name: str, words: list[str], paths: list[str]) -> list[Any]:
    try:
        done = subprocess.run(
            [*words, *paths],
            stdin=subprocess.DEVNULL,  # one that reads it would wait forever
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise ModelError(
            f"--command must be a program. Got {name}: {error.strerror}. Check its name."
        ) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelError(f"{name} must exit with 0. It exited with {done.returncode}: {last}.")
    found = [_parsed(name, line) for line in done.stdout.split("\n") if line.strip()]
    files = [Path(str(each.get("file"))).name for each in found]
    expected = [Path(path).name for path in paths]
    if files != expected and sorted(files) == sorted(expected):
        raise ModelError(
            f"{name} must print its lines in the order of the paths. Got another order of the "
            f"files. Sort the lines."
        )
    return [each["probabilities"] for each in found]


def _parsed(name: str, line: str) -> dict[str, Any]:
    try:
        each: dict[str, Any] = json.loads(line)
        each["probabilities"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{name} must print one JSON object a line, with probabilities by label. "
            f"Got {line[:200]!r}. Print nothing else to standard output."
        ) from error
    return each


@contextmanager
def written(sounds: Sequence[Sound]) -> Iterator[list[str]]:
    """Write ``(samples[, channels])`` as WAV files (16 kHz, float), deleted afterwards."""
    with TemporaryDirectory(prefix="affekt-audit-") as folder:
        paths = [str(Path(folder) / f"{number:05}.wav") for number in range(len(sounds))]
        for path, sound in zip(paths, sounds, strict=True):
            soundfile.write(path, sound, SAMPLE_RATE, subtype="FLOAT")
        yield paths


def _from_files(
    name: str, judge: Callable[[list[str]], list[Any]]
) -> Callable[[Sequence[Sound]], Sequence[Answer]]:
    """Write the sounds as files, and check what comes back."""

    def answer(sounds: Sequence[Sound]) -> Sequence[Answer]:
        with written(sounds) as paths:
            found = judge(paths)
        if len(found) != len(paths):
            raise ModelError(
                f"{name} must answer every path. It got {len(paths)} and answered {len(found)}."
            )
        return [_checked(name, each) for each in found]

    return answer


def _checked(name: str, answer: Any) -> Answer:
    try:
        shares = {str(label): float(share) for label, share in answer.items()}
    except (AttributeError, TypeError, ValueError):
        shares = {}
    valid = all(math.isfinite(share) and share >= 0 for share in shares.values())
    if not valid or not any(shares.values()):
        raise ModelError(
            f"{name} must give a probability for each label: numbers from 0, not all of them 0. "
            f"Got {str(answer)[:60]}. Correct its answer."
        )
    return shares
