"""Implement ``affekt enroll``: check the target file, then write a speaker's profile."""

from pathlib import Path
from typing import Annotated

import typer

from affekt.commands.options import Channel, Model, argument, flag, refuse_together
from affekt.commands.output.printing import complain, with_progress

MIN_SPEECH = 10  # s: then the speaker's statistics weigh twice as much as the prior


def enroll(
    profile: Annotated[Path, argument("PROFILE", "Profile to write.")],
    paths: Annotated[
        list[str], argument("PATH...", "Recordings of one speaker, or folders of them.")
    ],
    model: Model = None,
    add: Annotated[bool, flag("--add", "Add to an existing profile.")] = False,
    replace: Annotated[bool, flag("--replace", "Overwrite an existing profile.")] = False,
    channel: Channel = None,
    voice: Annotated[
        bool, flag("--voice", "Store a speaker embedding, for predict --speaker.")
    ] = False,
) -> None:
    """Write a profile of a speaker, which makes predictions for this speaker more accurate.

    Use recordings of one speaker, with several emotions if possible; labels are not needed. The
    profile holds statistics of the voice, and no sound. It can identify the person: keep it as you
    would keep a recording.
    """
    from affekt.audio.sound_files import SUFFIXES
    from affekt.errors import AudioError, ModelError
    from affekt.inference.files import Failure, find_files
    from affekt.inference.predictor import load
    from affekt.inference.profile import read_profile

    refuse_together({"--add": add, "--replace": replace})
    if profile.suffix.lower() in SUFFIXES:
        raise typer.BadParameter(
            f"PROFILE must come before the recordings. Got {profile}, named like a recording."
        )
    if profile.exists() and not add:
        read_profile(profile)  # only profiles are overwritten
        if not replace:
            raise typer.BadParameter(f"{profile} exists. Use --add or --replace.")
    before = _content(profile)
    predictor = load(model, profile=profile if add else None, channel=channel)
    files = []
    for file in find_files(paths):  # all, before any is read
        if isinstance(file, Failure):
            raise AudioError(file.error)
        files.append(file)
    with_speech = []
    for file in with_progress(files):
        if next(predictor.timeline(file), None):
            with_speech.append(file)
        else:
            complain(f"{file}: no speech detected; the file is skipped.")
    enrolled = predictor.enroll(with_speech, voice=voice)
    if before != _content(profile):
        raise ModelError(
            f"{profile} must not be changed by another program during the enrolment. Got another "
            f"content. Repeat the command."
        )
    enrolled.save(profile)
    print(f"{profile}: {enrolled.seconds:.1f} seconds of speech")
    if enrolled.seconds < MIN_SPEECH:
        complain(
            f"{profile} should have at least {MIN_SPEECH} s of speech. "
            f"Got {enrolled.seconds:.1f} s. Add recordings with --add."
        )


def _content(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""
