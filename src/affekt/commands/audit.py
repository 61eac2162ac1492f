"""Implement ``affekt audit``: test how robust and how fair a recognizer is."""

import json
from pathlib import Path
from typing import Annotated

from affekt.commands.options import argument, flag, option, refuse_together
from affekt.commands.output.printing import sigterm_as_ctrl_c, with_progress
from affekt.errors import RunError, writing

CONSISTENCY = 10  # one clip of so many is predicted as a file, as a stream and by the service


def audit(
    data: Annotated[
        list[Path],
        option("FOLDER", "Folder of a published corpus, or manifest; repeatable.", exists=True),
    ],
    output: Annotated[Path, option("FOLDER", "Folder for the page and tables.", "-o", "--output")],
    model: Annotated[
        str | None, argument("[MODEL]", "Model, or your own module:function (default: affekt).")
    ] = None,
    command: Annotated[
        str | None,
        option("COMMAND", "Audit a program: takes WAV files, prints lines as predict --json."),
    ] = None,
    clips: Annotated[int, option("N", "Clips of each corpus (default: 100).", min=1)] = 100,
    seed: Annotated[
        int, option("N", "Seed of the choice of clips and of noise (default: 0).", min=0)
    ] = 0,
    as_json: Annotated[bool, flag("--json", "Print a summary as JSON.")] = False,
) -> None:
    """Test how robust and how fair a recognizer is, and write one page and its tables.

    Your own function takes a list of paths of WAV files, and returns for each a dictionary of
    labels and probabilities.
    """
    from affekt.audit.answers import choose, rows
    from affekt.audit.consistency import consistency
    from affekt.audit.page import write_audit
    from affekt.audit.profiles import identification, pairs_of_profiles
    from affekt.audit.recognizers import open_command, open_recognizer
    from affekt.corpora import load, read_manifest
    from affekt.inference.shipped_models import DEFAULT_MODEL

    refuse_together({"MODEL": model, "--command": command})
    named = model or DEFAULT_MODEL
    recognizer = open_recognizer(named) if command is None else open_command(command)
    manifests = [
        read_manifest(path) if path.is_file() else load(path.resolve().name, path, partial=True)
        for path in data
    ]
    chosen = choose(manifests, clips, seed)
    with writing(output, RunError, "Name another folder."):  # before minutes are spent
        output.mkdir(parents=True, exist_ok=True)
    with sigterm_as_ctrl_c():
        batches = rows(recognizer, chosen, seed)
        steps = -(-len(chosen) // recognizer.clips)
        answers = [row for batch in with_progress(batches, steps) for row in batch]
        checks = {}
        if predictor := recognizer.predictor:  # only for models of affekt
            checks["consistency"] = consistency(predictor, chosen[::CONSISTENCY], seed)
            if predictor.graph.profile:
                drawn = pairs_of_profiles(manifests, seed)
                checks["profiles"] = identification(predictor, with_progress(drawn))
    summary = write_audit(answers, recognizer, output, seed=seed, checks=checks)
    print(json.dumps(summary) if as_json else output / "index.html")
