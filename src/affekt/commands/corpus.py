"""The command ``corpus``: a known one or one's own, then one library call."""

from pathlib import Path
from typing import Annotated

import typer

from affekt.commands.printing import comparison, complain, watched


def corpus(
    name: Annotated[str, typer.Argument(help="A known corpus, or a name for your own.")],
    root: Annotated[Path, typer.Argument(help="Its folder, or the CSV table of your own.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Manifest to write.")] = Path(
        "manifest.csv"
    ),
    task: Annotated[
        str | None, typer.Option(help="Labels: four or all. (Default: four; all for your own.)")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Take what is there, complete or not.")
    ] = False,
    speaker: Annotated[
        str, typer.Option(help="Your own: expression that finds the speaker in a path.")
    ] = "",
    label: Annotated[
        list[str] | None, typer.Option(help="Your own: OWN=LABEL, or OWN= to leave it out.")
    ] = None,
) -> None:
    """Check a corpus against the published one, and write its manifest."""
    from affekt.corpora import CORPORA, survey, survey_own, write_manifest

    labels = dict(pair.rpartition("=")[::2] for pair in label or ())
    if "" in labels:
        raise typer.BadParameter("--label must read OWN=LABEL, or OWN= to leave clips out.")
    if name in CORPORA and (labels or speaker):
        raise typer.BadParameter(f"--label and --speaker are for your own data, not for {name}.")
    if name in CORPORA:
        found = survey(CORPORA[name], root, task or "four", watch=watched)
    elif speaker or root.is_file():
        task = task or "all"
        found = survey_own(name, root, task, labels=labels, speaker=speaker, watch=watched)
    else:
        known = ", ".join(CORPORA)
        raise typer.BadParameter(f"NAME is none of {known}; your own data need --speaker or a CSV.")
    if output.exists() and root.is_file() and output.samefile(root):
        raise typer.BadParameter(f"{output} is the table that is read. Name another --output.")
    comparison(found)
    write_manifest(found.manifest(partial=partial), output)
    if found.faults():
        complain(f"{output} holds a part of {name} only: {found.faults()}")
