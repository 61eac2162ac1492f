"""The command ``models``: what a model says of itself, printed."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from affekt.commands.printing import printable
from affekt.errors import ModelError

if TYPE_CHECKING:
    from affekt.inference.graph import Graph


def models(
    model: Annotated[
        str | None,
        typer.Argument(metavar="[FILE|NAME]", help="Which. (Default: all that are shipped.)"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a model.")] = False,
) -> None:
    """Show what models answer, whom they learned from, and what they may be used for."""
    from affekt.inference.predictor import MODELS, load

    names = [model] if model else sorted(file.stem for file in MODELS.glob("*.onnx"))
    for name in names:
        graph = load(name).graph
        if as_json:
            about = {"file": str(graph.file), "sha256": graph.digest, **graph.metadata}
            print(json.dumps(about))
            continue
        try:
            facts = [("answers", ", ".join(graph.labels)), *_facts(graph)]
        except (KeyError, TypeError) as error:
            raise ModelError(
                f"Model {graph.file} must say whom it learned from. Got {error!r}. Export it again."
            ) from error
        print(printable(graph.file.stem))
        for what, value in facts:
            print(f"  {what:9}  {printable(value)}")


def _facts(graph: "Graph") -> Iterator[tuple[str, str]]:
    note = graph.metadata
    heard = [
        f"{each['name']} ({len(each['speakers'])} speakers, {each['clips']:,} clips)"
        for each in note["corpora"]
    ]
    yield "learned", ", ".join(heard)
    yield "licence", str(note["licence"])
    yield "profiles", "yes, affekt enroll" if graph.profile else "no"
    yield "file", f"{graph.file}, {graph.file.stat().st_size:,} bytes"
    yield "SHA-256", graph.digest
    card = graph.file.with_suffix(".md")
    if card.is_file():
        yield "card", str(card)
