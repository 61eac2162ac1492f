"""The command ``weights``: what is there of what training starts from."""

from typing import Annotated

import typer

from affekt.commands.printing import complain


def weights(
    name: Annotated[
        str | None, typer.Argument(help="yamnet.tflite or yamnet.h5.", show_default=False)
    ] = None,
    fetch: Annotated[
        bool, typer.Option("--download", help="Fetch it (yamnet.tflite) into the user's cache.")
    ] = False,
) -> int:
    """Show where the weights that training starts from are looked for, and what is there."""
    from affekt.model.official import download, survey

    if fetch:
        print(download(name or "yamnet.tflite"))
        return 0
    places = list(survey(name))
    for place in places:
        print(f"{place.state:8}  {place.bytes:>10,} bytes  {place.file}")
    if any(place.state == "official" for place in places):
        return 0
    complain("none of them is the official file. Run affekt weights --download.")
    return 1
