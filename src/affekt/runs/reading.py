"""Read the finished folds of one recipe and one seed as tables, from a run folder or an archive.

Either may be unfinished. :mod:`affekt.runs.folder` describes both forms.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from affekt.aliases import from_stored
from affekt.corpora.folds import fold_rows, read_folds
from affekt.corpora.joined import corpus_of
from affekt.corpora.manifest import Manifest, read_manifest
from affekt.errors import AffektError, LabelError, RunError
from affekt.runs.corpus_facts import corpus_facts
from affekt.runs.folder import ARCHIVED, CURVE, DONE, command_of, table_file
from affekt.runs.predictions import (
    COLUMNS,
    PROFILE,
    labels_of,
    read_csv,
    read_enrolment,
    read_predictions,
    read_validation,
)

CLIP = ["fold", "file", "speaker", "truth"]
FACTS = ("fold", "best_epoch", "seconds", "versions", "hardware", "revision")
_RESTORE = "Restore its files, or run the recipe again."


@dataclass(frozen=True)
class Run:
    """One seed of one recipe."""

    recipe: str  #: its name
    digest: str  #: of all its knobs
    seed: int  #: of all random choices
    knobs: dict[str, Any]  #: every knob of that time with its value, under today's name
    corpus: dict[str, Any]  #: as :func:`affekt.runs.corpus_facts.corpus_facts` returns it
    planned: int  #: number of folds; more than ``folds`` while it is unfinished
    #: for each finished fold ``fold``, ``test_speakers``, ``best_epoch``, ``seconds``,
    #: ``versions``, ``hardware``, ``revision``
    folds: tuple[dict[str, Any], ...]
    parts: pd.DataFrame  #: ``fold``, ``speaker``, ``part``: train, validation or test
    predictions: pd.DataFrame  #: rows of all finished folds, without enrolment
    #: the same clips with each enrolment (``profile``); no rows without any
    enrolment: pd.DataFrame
    #: predictions for the validation clips of each fold; no rows if they were not written
    validation: pd.DataFrame
    #: ``fold`` and the columns of a learning curve; no rows for a method without epochs
    curves: pd.DataFrame
    folder: Path  #: of the files

    @property
    def complete(self) -> bool:
        """Whether every fold is finished."""
        return len(self.folds) == self.planned

    @property
    def command(self) -> str:
        """The command that makes this run; the seed of a recipe is 0."""
        return command_of(self.recipe, self.seed)


def find_runs(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Find folders with at least one finished fold, in either form, in ``paths`` and below.

    Runs without test speakers are left out.

    Returns:
        The run folders, sorted by path within each of ``paths``, none twice.

    Raises:
        RunError: one of ``paths`` is no folder.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            raise RunError(f"{path}: must be a folder of runs. Got none. Run a recipe first.")
        archived = [file.parent for file in path.rglob(ARCHIVED)]
        made = [
            file.parents[1]
            for file in path.rglob(f"fold-*/{DONE}")
            if '"test_speakers": []' not in file.read_text(encoding="utf-8", errors="replace")
        ]
        found.update(dict.fromkeys(sorted([*archived, *made])))
    return tuple(found)


def read_run(folder: Path) -> Run:
    """Read a run of either form, as far as it has come.

    Raises:
        RunError: no finished fold, a file that is missing or not what it should be, folds of
            several recipes, or predictions that are not of all clips of the test speakers.
        CorpusError: no valid folds or manifest, or a test speaker in training or validation.
        LabelError: a prediction outside the run's labels.
    """
    try:
        archived = (folder / ARCHIVED).is_file()
        run, manifest = (_read_archived(folder), None) if archived else _read_folder(folder)
        for check in (_check_facts, _check_tables, _check_enrolment, _check_names):
            check(folder, run)
        _check_clips(folder, run, manifest)
    except AffektError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise RunError(
            f"{folder}: must be a run as it was written. Got {reason}. {_RESTORE}"
        ) from error
    return run


def _read_archived(folder: Path) -> Run:
    about = read_json(folder / ARCHIVED)
    about["knobs"] = from_stored(about["knobs"])
    about["folds"] = tuple(about["folds"])
    return Run(
        **about,
        parts=_read_parts(folder),
        predictions=read_predictions(table_file(folder, "predictions")),
        enrolment=_optional_table([folder], "enrolment", read_enrolment),
        validation=_optional_table([folder], "validation", read_validation),
        curves=read_table(table_file(folder, "curve"), ("fold", *CURVE)),
        folder=folder,
    )


def _read_folder(folder: Path) -> tuple[Run, Manifest]:
    done = sorted(folder.glob(f"fold-*/{DONE}"), key=lambda file: int(file.parent.name[5:]))
    if not done:
        raise RunError(f"{folder}: must hold a finished fold. Got none. Run its recipe first.")
    results, parents = [read_json(file) for file in done], [file.parent for file in done]
    parts = _read_parts(folder)
    curves = [
        read_table(file.with_name("curve.csv"), CURVE).assign(fold=result["fold"])
        for file, result in zip(done, results, strict=True)
    ]
    manifest = read_manifest(folder / "manifest.csv")
    run = Run(
        **{name: results[0][name] for name in ("recipe", "digest", "seed")},
        knobs=from_stored(read_json(folder / "recipe.json")),
        corpus=corpus_facts(manifest),
        planned=parts["fold"].nunique(),
        folds=tuple(results),
        parts=parts,
        predictions=read_predictions(*(fold / "predictions.csv" for fold in parents)),
        enrolment=_optional_table(parents, "enrolment", read_enrolment),
        validation=_optional_table(parents, "validation", read_validation),
        curves=pd.concat(curves)[["fold", *CURVE]].reset_index(drop=True),
        folder=folder,
    )
    return run, manifest


def _read_parts(folder: Path) -> pd.DataFrame:
    folds = read_folds(folder / "folds.csv")
    return pd.DataFrame(fold_rows(folds), columns=["fold", "speaker", "part"])


def _optional_table(
    folders: Sequence[Path], name: str, read: Callable[..., pd.DataFrame]
) -> pd.DataFrame:
    """Read a table that each fold has, or none; an archived one may be compressed."""
    files = (table_file(folder, name) for folder in folders)
    paths = [file for file in files if file.is_file()]
    if not paths:
        return pd.DataFrame(columns=[PROFILE, *COLUMNS])
    if len(paths) < len(folders):
        raise RunError(
            f"{folders[0].parent}: {name}.csv must be in every finished fold or in none. "
            f"Got {len(paths)} of {len(folders)}. Run the other folds again."
        )
    return read(*paths)


def _check_facts(folder: Path, run: Run) -> None:
    missing = {name for fold in run.folds for name in FACTS if name not in fold}
    missing |= {"digest", "classes"} - run.corpus.keys()
    if lacking := ", ".join(sorted(missing)):
        raise RunError(
            f"{folder}: folds and corpus must have their facts. Missing: {lacking}. {_RESTORE}"
        )


def _check_tables(folder: Path, run: Run) -> None:
    """Check that all folds and predictions are of this run, and have the same labels."""
    digests = {str(fold.get("digest", run.digest)) for fold in run.folds}
    if digests != {run.digest}:
        got = ", ".join(sorted(digests))
        raise RunError(f"{folder}: all folds must be of one recipe's digest. Got {got}. {_RESTORE}")
    tables = (run.predictions, run.enrolment, run.validation)
    rows = pd.concat([table[["recipe", "seed"]] for table in tables]).drop_duplicates()
    found = [tuple(row) for row in rows.itertuples(index=False)]
    if found != [(run.recipe, run.seed)]:
        raise RunError(
            f"{folder}: predictions must be of recipe {run.recipe}, seed {run.seed}, as the run. "
            f"Got {', '.join(f'{recipe}, seed {seed}' for recipe, seed in found)}. {_RESTORE}"
        )
    labels = labels_of(run.predictions)
    for table in tables[1:]:
        if len(table) and labels_of(table) != labels:
            raise LabelError(
                f"{folder}: enrolment.csv and validation.csv must have the labels of "
                f"predictions.csv, {', '.join(labels)}. Got {', '.join(labels_of(table))}. "
                f"{_RESTORE}"
            )


def _check_clips(folder: Path, run: Run, manifest: Manifest | None) -> None:
    """Check that the predictions are of the finished folds, and of all clips of their speakers.

    An archived run names no clips: their number is compared if all speakers were tested.
    """
    done, found = sorted(fold["fold"] for fold in run.folds), sorted({*run.predictions["fold"]})
    if found != done or run.parts["fold"].nunique() != run.planned:
        raise RunError(
            f"{folder}: predictions must be of the finished folds, {', '.join(map(str, done))} of "
            f"{run.planned}. Got {', '.join(map(str, found))} of {run.parts['fold'].nunique()}. "
            f"{_RESTORE}"
        )
    rows, columns = run.parts[run.parts["fold"].isin(done)], ["fold", "speaker"]
    if manifest:
        named = zip(manifest.names, manifest.clips, strict=True)
        clips = [(name, clip.speaker, clip.label) for name, clip in named]
        rows, columns = rows.merge(pd.DataFrame(clips, columns=CLIP[1:])), CLIP
    for part, table in (("test", run.predictions), ("validation", run.validation)):
        both = (x[columns].drop_duplicates() for x in (table, rows[rows["part"] == part]))
        odd = set.symmetric_difference(*({*x.itertuples(index=False, name=None)} for x in both))
        if len(table) and odd:
            raise RunError(
                f"{folder}: {part} clips must be those of manifest and folds. They differ in "
                f"{', '.join(columns)}: {', '.join(map(str, min(odd)))}. {_RESTORE}"
            )
    counts = run.predictions["truth"].value_counts().to_dict()
    wanted = {each["label"]: each["clips"] for each in run.corpus["classes"]}
    if counts != wanted and run.predictions["speaker"].nunique() == run.parts["speaker"].nunique():
        raise RunError(
            f"{folder}: predictions must be of all clips, {wanted}. Got {counts}. {_RESTORE}"
        )


def _check_enrolment(folder: Path, run: Run) -> None:
    """Check that each enrolment has predictions for all test clips."""
    asked = run.predictions[CLIP].assign(asked=True)
    found = run.enrolment[[PROFILE, *CLIP]].merge(asked, "left", CLIP)
    for profile, rows in found.groupby(PROFILE):
        if len(rows) != len(asked) or rows["asked"].isna().any():
            raise RunError(
                f"{folder}: profile {profile} of enrolment.csv must hold the clips of "
                f"predictions.csv, all of them and no others. Got {len(rows)} for {len(asked)}. "
                f"Run the recipe again."
            )


def _check_names(folder: Path, run: Run) -> None:
    """Check the names that a report and an archive give to files."""
    names = {run.recipe, *(corpus_of(str(speaker)) for speaker in run.parts["speaker"].unique())}
    odd = sorted(name for name in names if name == ".." or Path(name).name != name)
    if odd:
        raise RunError(
            f"{folder}: recipe and corpora must have names that files can have. Got {odd[0]!r}. "
            f"Rename it in all files."
        )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object, or say in one line why not."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}. {_RESTORE}") from error
    except ValueError as error:
        raise RunError(f"{path}: must be JSON. Got: {error}. {_RESTORE}") from error
    if not isinstance(content, dict):
        raise RunError(f"{path}: must be a JSON object. Got {type(content).__name__}. {_RESTORE}")
    return content


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read some columns of a CSV; no rows where the file is missing."""
    if not path.is_file():
        return pd.DataFrame(columns=list(columns))
    table = read_csv(path)
    if not set(columns) <= set(table.columns):
        raise RunError(
            f"{path}: must have the columns {', '.join(columns)}. "
            f"Got {', '.join(table.columns)}. {_RESTORE}"
        )
    return table[list(columns)]
