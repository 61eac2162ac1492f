"""The command ``enroll``: what may be written over, then one library call."""

from pathlib import Path
from typing import Annotated

import typer

from affekt.commands.options import Channel, Model
from affekt.commands.printing import complain, watched

ENOUGH = 10  # s of speech: twice what the population weighs in a profile


def enroll(
    profile: Annotated[Path, typer.Argument(metavar="PROFILE", help="File to write.")],
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Speech of one person: recordings, or folders."),
    ],
    model: Model = None,
    add: Annotated[bool, typer.Option("--add", help="Add to the profile that is there.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Begin anew in place of the profile that is there.")
    ] = False,
    channel: Channel = None,
) -> None:
    """Learn what a person's voice is like, so that their moods are told from it.

    Any speech of theirs will do, in any mood, better in several. A profile holds no sound.
    """
    from affekt.audio.reading import blocks
    from affekt.inference.activity import speaks
    from affekt.inference.files import sound_files
    from affekt.inference.predictor import load

    _check_target(profile, add=add, replace=replace)
    predictor = load(model, profile=profile if add else None, channel=channel)
    files = list(sound_files(paths))
    spoken = [file for file in watched(files, len(files)) if speaks(blocks(file, channel=channel))]
    for file in files:
        if file not in spoken:
            complain(f"{file}: nobody seems to speak in it. It is left out.")
    learned = predictor.enroll(spoken)
    learned.save(profile)
    print(f"{profile}: {learned.seconds:.1f} seconds of speech heard")
    if learned.seconds < ENOUGH:
        complain(f"{profile}: little is known after less than {ENOUGH} s of speech. --add some.")


def _check_target(profile: Path, *, add: bool, replace: bool) -> None:
    """Refuse to write over anything but a profile, and over one that nobody said to."""
    from affekt.audio.reading import SUFFIXES
    from affekt.inference.profile import read_profile

    if add and replace:
        raise typer.BadParameter("--add and --replace exclude each other.")
    if profile.suffix.lower() in SUFFIXES:
        raise typer.BadParameter(f"PROFILE comes first. Got {profile}, named like a recording.")
    if profile.exists() and not add:
        read_profile(profile)
        if not replace:
            raise typer.BadParameter(f"{profile} is there already. Use --add, or --replace.")
