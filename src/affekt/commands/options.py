"""Options that several commands share: which model hears, and whom."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    str | None, typer.Option(metavar="FILE|NAME", help="Model file, or name of a shipped one.")
]
Profile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Who speaks, as affekt enroll made it.")
]
Adapt = Annotated[
    bool, typer.Option("--adapt", help="Learn who speaks from each sound, as it is heard.")
]
Channel = Annotated[
    int | None,
    typer.Option(min=0, help="The one to hear, from 0. (Default: the mean of all.)"),
]
MinConfidence = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Probability below which it is uncertain.")
]
