"""Implement ``affekt audit``: test how robust and how fair a recognizer is."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from affekt.commands.options import option
from affekt.commands.output.printing import sigterm_as_ctrl_c, with_progress
from affekt.errors import ModelError

if TYPE_CHECKING:
    from affekt.audit.answers import Chosen
    from affekt.corpora import Manifest
    from affekt.inference.predictor import Predictor

CONSISTENCY = 10  # every so many clips are compared between the ways


def audit(
    data: Annotated[
        list[Path],
        option(
            "FOLDER",
            "Folder of a published corpus, or manifest; repeatable.",
            "--data",
            exists=True,
        ),
    ],
    output: Annotated[Path, option("FOLDER", "Folder for the page and tables.", "-o", "--output")],
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]", help="Shipped model, model file, or your own module:function."
        ),
    ] = None,
    command: Annotated[
        str | None,
        option("COMMAND", "Audit a program: WAV files in, lines of affekt predict --json out."),
    ] = None,
    clips: Annotated[int, option("N", "Clips of each corpus (default: 100).", min=1)] = 100,
    seed: Annotated[
        int, option("N", "Seed of the choice of clips and of noise (default: 0).", min=0)
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:
    """Test how robust and how fair a recognizer is, and write one page and its tables.

    Your own function takes a list of paths of WAV files, and returns for each a dictionary of
    labels and probabilities.
    """
    from affekt.audit.answers import choose, rows
    from affekt.audit.page import audit_folder, write_audit
    from affekt.audit.recognizers import open_command, open_recognizer
    from affekt.corpora import load, read_manifest
    from affekt.inference.shipped_models import DEFAULT_MODEL

    if model and command:
        raise ModelError("MODEL cannot be combined with --command. Leave one of them out.")
    recognizer = open_command(command) if command else open_recognizer(model or DEFAULT_MODEL)
    manifests = [
        read_manifest(path) if path.is_file() else load(path.resolve().name, path, partial=True)
        for path in data
    ]
    chosen = choose(manifests, clips, seed)
    audit_folder(output)
    with sigterm_as_ctrl_c():
        batches = rows(recognizer, chosen, seed)
        steps = -(-len(chosen) // recognizer.clips)
        answers = [row for batch in with_progress(batches, steps) for row in batch]
        checks = _checks(recognizer.predictor, manifests, chosen, seed)
    summary = write_audit(answers, recognizer, output, seed=seed, checks=checks)
    if as_json:
        print(json.dumps(summary))
    else:
        print(output / "index.html")


def _checks(
    predictor: "Predictor | None",
    manifests: "Sequence[Manifest]",
    chosen: "Sequence[Chosen]",
    seed: int,
) -> dict[str, Any]:
    """Measure consistency and profiles, of affekt's own models only."""
    from affekt.audit.consistency import consistency
    from affekt.audit.profiles import identification, pairs_of_profiles

    if not predictor:
        return {}
    checks = {"consistency": consistency(predictor, chosen[::CONSISTENCY], seed)}
    if predictor.graph.profile:
        drawn = pairs_of_profiles(manifests, seed)
        checks["profiles"] = identification(predictor, with_progress(drawn, len(drawn)))
    return checks
