"""Write the annotation file of each of many recordings into a folder."""

import os
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affekt.atomic_write import atomic_write
from affekt.commands.output.printing import complain
from affekt.commands.output.timeline_printing import print_timelines
from affekt.errors import RunError, writing

if TYPE_CHECKING:
    from affekt.inference.predictor import Predictor


def is_output_folder(output: str | None) -> bool:
    """Whether an output is a folder: one that exists, or a name that ends in a slash."""
    return output is not None and (output.endswith(("/", os.sep)) or Path(output).is_dir())


def write_annotations(
    predictor: "Predictor", paths: Sequence[str], folder: Path, form: str, **options: Any
) -> int:
    """Predict recordings, write and print a file for each, and return the exit code.

    The folder gets the subfolders of the recordings below their common folder. A recording that
    failed has no file. Options are those of :func:`print_timelines`.

    Raises:
        RunError: a file cannot be written.
    """
    from affekt.inference.files import Failure, find_files
    from affekt.inference.timelines.annotation_files import SUFFIXES

    found = [*find_files(paths)]
    failures = [each for each in found if isinstance(each, Failure)]
    files = [each for each in found if isinstance(each, str)]
    code = 1 if failures else 0
    for file, target in _targets(files, folder, SUFFIXES[form]).items():
        text = StringIO()
        if print_timelines(predictor, [file], text, form=form, plot=None, **options):
            code = 1
            continue
        with writing(target, RunError, "Name another --output."):
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(target) as part:
                part.write_text(
                    text.getvalue(), encoding="utf-8", errors="surrogateescape", newline="\n"
                )
        print(target, flush=True)
    for failure in failures:
        complain(failure.error)
    return code


def _targets(files: Sequence[str], folder: Path, suffix: str) -> dict[str, Path]:
    """The file to write for each recording; recordings of one name keep their own suffix."""
    from affekt.locations import is_location

    local = [Path(file).absolute() for file in files if not is_location(file)]
    common = Path(os.path.commonpath([file.parent for file in local])) if local else Path()
    targets: dict[str, Path] = {}
    for file in files:
        inside = (
            Path(Path(file).name)
            if is_location(file)
            else Path(file).absolute().relative_to(common)
        )
        target = folder / inside.with_suffix(suffix)
        if target in targets.values():
            target = folder / f"{inside}{suffix}"
        targets[file] = target
    return targets
