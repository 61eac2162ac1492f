"""Define the options about speakers, and check and convert their values."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from affekt.commands.options import option, refuse_together

if TYPE_CHECKING:
    from affekt.inference.options import Channel
    from affekt.inference.profile import Profile

AnyChannel = Annotated[
    str | None,
    option(
        "N|each",
        "Use one channel, counted from 0; each: one speaker a channel (stream, --timeline).",
        "--channel",
    ),
]
Speakers = Annotated[
    str | None, option("N|auto|FILE", "Recognize each of N speakers, or those of an RTTM file.")
]
Speaker = Annotated[
    list[str] | None,
    option("NAME=FILE", "Name and profile of one of the speakers; repeatable.", "--speaker"),
]


def channel_of(text: str | None) -> "Channel":
    """Convert the value of :data:`AnyChannel`."""
    if text is None or text == "each":
        return "each" if text else None
    if not text.isdecimal():
        raise typer.BadParameter(f"--channel must be each, or a number from 0. Got {text}.")
    return int(text)


def speakers_of(text: str | None) -> int | str | None:
    """Convert the value of :data:`Speakers`."""
    if text is None or not text.lstrip("-").isdecimal():
        return text
    if int(text) < 1:
        raise typer.BadParameter(f"--speakers must be a number from 1, auto or a file. Got {text}.")
    return int(text)


def profiles_of(named: Sequence[str]) -> "dict[str, Profile]":
    """Read the profiles of the values of :data:`Speaker`."""
    from affekt.inference.profile import read_profile

    profiles = {}
    for value in named:
        name, _, file = value.partition("=")
        if not (name.strip() and file) or name in profiles:
            raise typer.BadParameter(
                f"--speaker must be NAME=FILE, each name once. Got {value}. "
                f"Name a profile written by affekt enroll."
            )
        profiles[name] = read_profile(file)
    return profiles


def check_speakers(
    channel: "Channel",
    speakers: str | None,
    named: list[str] | None,
    timeline: bool,
    profile: Path | None,
    plot: Path | None,
) -> bool:
    """Check the options about speakers; return whether they are distinguished."""
    distinguished: dict[str, object] = {"--channel each": channel == "each", "--speakers": speakers}
    refuse_together(distinguished)
    if named and not any(distinguished.values()):
        raise typer.BadParameter("--speaker needs --speakers or --channel each.")
    for name, value in distinguished.items():
        if value and not timeline:
            raise typer.BadParameter(f"{name} needs --timeline.")
        refuse_together({name: value, "--profile (name it with --speaker)": profile})
        refuse_together({name: value, "--plot": plot})
    return any(distinguished.values())
