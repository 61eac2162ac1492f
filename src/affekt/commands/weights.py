"""Implement ``affekt weights``: list or download the pretrained weights that training needs."""

from typing import Annotated

import typer

from affekt.commands.printing import complain


def weights(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="yamnet.tflite or smart-turn-v3.2-cpu.onnx.", show_default=False
        ),
    ] = None,
    fetch: Annotated[
        bool, typer.Option("--download", help="Download the file (default: yamnet.tflite).")
    ] = False,
) -> int:
    """List the folders that may hold pretrained weights, or download them."""
    from affekt.model.pretrained import download, survey

    if fetch:
        print(download(name or "yamnet.tflite"))
        return 0
    places = list(survey(name))
    for place in places:
        print(f"{place.state:8}  {place.bytes:>10,} bytes  {place.file}")
    if any(place.state == "official" for place in places):
        return 0
    complain("none of these is an official file. Run affekt weights --download.")
    return 1
