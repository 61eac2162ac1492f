"""Implement ``affekt models`` and ``affekt weights``: model files, and what training needs."""

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from affekt.commands.options import Json, argument, flag
from affekt.commands.output.printing import complain, printable
from affekt.errors import ModelError

if TYPE_CHECKING:
    from affekt.inference.graph import Graph

ENCODER = "- Encoder: "  # begins the line of a card that credits the pretrained encoder


def models(
    model: Annotated[
        str | None, argument("[FILE|NAME]", "One model (default: all shipped models).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Describe models: labels, training corpora, licence and file."""
    from affekt.inference.predictor import load
    from affekt.inference.shipped_models import MODELS

    names = [model] if model else sorted(file.stem for file in MODELS.glob("*.onnx"))
    for name in names:
        graph = load(name).graph
        if as_json:
            about = {"file": str(graph.file), "sha256": graph.digest, **graph.metadata}
            print(json.dumps(about))
            continue
        try:
            facts = list(_facts(graph))
        except (KeyError, TypeError) as error:
            raise ModelError(
                f"metadata of model {graph.file} must name corpora and licence. Got {error!r}. "
                f"Export the model again."
            ) from error
        print(printable(graph.file.stem))
        for what, value in facts:
            print(f"  {what:11}  {printable(value)}")


def weights(
    name: Annotated[
        str | None, argument("[NAME]", "yamnet.tflite or smart-turn-v3.2-cpu.onnx.")
    ] = None,
    fetch: Annotated[
        bool, flag("--download", "Download the file (default: yamnet.tflite).")
    ] = False,
) -> int:
    """List pretrained weights and the folders that are searched, or download a file."""
    from affekt.model.pretrained import download, survey

    if fetch:
        print(download(name or "yamnet.tflite"))
        return 0
    places = list(survey(name))
    for file, state, size in places:
        print(f"{state:8}  {size:>10,} bytes  {file}")
    if any(state == "official" for _, state, _ in places):
        return 0
    wanted = name or "yamnet.tflite"
    complain(
        f"{wanted} must be the published file. Got none in these folders. Run affekt weights "
        f"--download {wanted}; if this machine is offline, copy the file into one of them."
    )
    return 1


def _facts(graph: "Graph") -> Iterator[tuple[str, str]]:
    from affekt.corpora import CORPORA

    metadata = graph.metadata
    corpora = [
        f"{each['name']} ({who} speaker{'s' * (who != 1)}, {clips:,} clip{'s' * (clips != 1)})"
        for each in metadata["corpora"]
        for who, clips in [(len(each["speakers"]), each["clips"])]
    ]
    yield "labels", ", ".join(graph.labels)
    yield "trained on", ", ".join(corpora)
    yield "licence", str(metadata["licence"])
    for each in metadata["corpora"]:
        if each["name"] in CORPORA:
            corpus = CORPORA[each["name"]]
            parts = corpus.credit, corpus.source, corpus.licence, corpus.licence_link
            yield "credit", ", ".join(filter(None, parts))
    card = graph.file.with_suffix(".md")
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    of_card = re.findall(rf"^{ENCODER}.*(?:\n  .*)*", text, re.MULTILINE)
    for item in [f"{ENCODER}{own}"] if (own := metadata.get("encoder")) else of_card:
        yield "credit", " ".join(item.removeprefix("- ").split())
    yield "profiles", "yes (see affekt enroll)" if graph.profile else "no"
    yield "file", f"{graph.file}, {graph.file.stat().st_size:,} bytes"
    yield "SHA-256", graph.digest
    if card.is_file():
        yield "model card", str(card)
