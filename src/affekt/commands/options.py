"""Define the options that several commands share, and check which options exclude each other."""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from affekt.inference.profile import Profile as VoiceProfile


def option(value: str, text: str, *names: str, **settings: Any) -> Any:
    """Describe an option that takes a value; ``text`` names the default, if there is one."""
    return typer.Option(*names, metavar=value, help=text, show_default=False, **settings)


def flag(name: str, text: str) -> Any:
    """Describe an option without value."""
    return typer.Option(name, help=text)


def argument(name: str, text: str) -> Any:
    """Describe an argument; ``text`` names the default, if there is one."""
    return typer.Argument(metavar=name, help=text, show_default=False)


Json = Annotated[bool, flag("--json", "Print one JSON object per line.")]
Model = Annotated[
    str | None, option("FILE|NAME", "Model file, or name in affekt models (default: affekt).")
]
NewModel = Annotated[
    Path, option("FILE", "Model file to write (default: model.onnx).", "-o", "--output")
]
Device = Annotated[str | None, option("NAME", "Name or number of the microphone.")]
Profile = Annotated[
    Path | None, option("FILE", "Profile of the speaker, written by affekt enroll.")
]
Adapt = Annotated[
    bool, flag("--adapt", "Update the profile with the sound itself, which must have one speaker.")
]
MinConfidence = Annotated[
    float, option("P", "Label a result 'uncertain' if no emotion reaches this probability.")
]
NoQuality = Annotated[
    bool, flag("--no-quality", "Predict an emotion for noise and silence too; this is faster.")
]
Channel = Annotated[
    int | None, option("N", "Use one channel, counted from 0 (default: the mean of all).", min=0)
]
AnyChannel = Annotated[
    str | None,
    option(
        "N|each",
        "Use one channel, from 0 (default: the mean of all); each: one speaker a channel.",
        "--channel",
    ),
]
Speakers = Annotated[
    str | None, option("N|auto|FILE", "Separate N (auto: up to 4) speakers, or read an RTTM file.")
]
Speaker = Annotated[
    list[str] | None,
    option("NAME=FILE", "Name and profile of one of the speakers; repeatable.", "--speaker"),
]
Jobs = Annotated[
    int | None, option("N", "Files at a time (default: one per core).", min=1, max=1024)
]
Engine = Annotated[str, option("local|ray", "Run on this machine (default), or on a Ray cluster.")]
Address = Annotated[
    str | None, option("HOST:PORT", "Ray cluster (default: the one on this machine).")
]
Changes = Annotated[
    list[str] | None, option("KNOB=VALUE", "Change a knob of the recipe; repeatable.", "--set")
]
Labels = Annotated[
    list[str] | None,
    option("OWN=LABEL", "Rename a label of yours; OWN= leaves it out; repeatable.", "--label"),
]
Columns = Annotated[
    list[str] | None, option("OWN=COLUMN", "Rename a column of your table; repeatable.", "--column")
]
SpeakerPattern = Annotated[
    str,
    option("REGEX", "In your own folders: regular expression that finds the speaker in a path."),
]


def own_names(labels: list[str] | None, columns: list[str] | None) -> list[dict[str, str]]:
    """Read ``--label OWN=LABEL`` and ``--column OWN=COLUMN``; refuse anything else."""
    for name, pairs, form, must_be in (
        ("--label", labels, r".+=[^=]*", "OWN=LABEL, or OWN= to leave recordings out"),
        ("--column", columns, r".+=[^=]+", "OWN=COLUMN, such as emotion=label"),
    ):
        for pair in pairs or ():
            if not re.fullmatch(form, pair):
                raise typer.BadParameter(f"{name} must be {must_be}. Got {pair}.")
        owns = [pair.rpartition("=")[0] for pair in pairs or ()]
        if twice := next((own for own in owns if owns.count(own) > 1), ""):
            raise typer.BadParameter(f"{name} must rename {twice} once. Got it twice. Drop one.")
    return [dict(pair.rpartition("=")[::2] for pair in pairs or ()) for pairs in (labels, columns)]


def refuse_together(options: dict[str, object]) -> None:
    """Raise typer.BadParameter if two of these options have a value."""
    given = [option for option, value in options.items() if value]
    if len(given) > 1:
        raise typer.BadParameter(f"{given[0]} cannot be combined with {given[1]}.")


def channel_of(text: str | None) -> int | Literal["each"] | None:
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


def profiles_of(named: Sequence[str]) -> "dict[str, VoiceProfile]":
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
    channel: int | Literal["each"] | None,
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


def refuse_output(output: str | Path | None, *inputs: object, name: str = "--output") -> None:
    """Refuse an output that is an input, or a file that is named or begins like a recording.

    A link or another name may lead to the input. Inputs that are None or no paths are ignored;
    ``name`` is the option that gave the output.
    """
    from affekt.audio import headers
    from affekt.audio.sound_files import SUFFIXES

    if output is None:
        return
    head = b""
    with suppress(OSError, ValueError):  # nothing there, or a location
        if Path(output).is_file():  # a pipe would wait for its writer
            with Path(output).open("rb") as file:
                head = file.read(4_096)
    if Path(output).suffix.lower() in SUFFIXES or (head and headers.is_recording(head)):
        raise typer.BadParameter(
            f"{name} must not be a recording, nor named like one. Got {output}. Name another file."
        )
    for path in map(str, filter(None, inputs)):
        # os.path, since Path raises on names that are too long
        same = os.path.exists(path) and os.path.exists(output) and os.path.samefile(path, output)  # noqa: PTH110, PTH121
        if same or os.path.abspath(path) == os.path.abspath(output):  # noqa: PTH100
            raise typer.BadParameter(
                f"{name} must not be a file that the command uses. Got {output}. Name another file."
            )


def is_recording(word: str) -> bool:
    """Tell whether a word of the command line looks like a recording or a folder."""
    from affekt.audio.sound_files import SUFFIXES
    from affekt.locations import is_location

    suffix = Path(word).suffix.lower()
    return word == "-" or suffix in SUFFIXES or is_location(word) or os.access(word, os.F_OK)
