"""Write utterances as annotation files: Audacity labels, TextGrid, EAF, WebVTT and RTTM.

Source: the manuals of Audacity ("Importing and Exporting Labels") and Praat ("TextGrid file
formats"); W3C, "WebVTT"; MPI for Psycholinguistics, "EAF Annotation Format"; NIST, "The 2009 Rich
Transcription Evaluation Plan", appendix A.
"""

import mimetypes
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from xml.etree import ElementTree

from affekt.inference.timelines.rttm import word
from affekt.inference.timelines.timeline import Utterance

WEBVTT_HEAD = "WEBVTT\n"
EAF_SCHEMA = {
    "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation": (
        "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
    )
}


def audacity(utterance: Utterance) -> str:
    """One line of a label track for Audacity: start, end, and speaker and label in columns.

    >>> audacity(Utterance("", 1.0, 2.5, "happy", {"happy": 1.0}, 1.0))
    '1.000000\\t2.500000\\thappy'
    """
    label = " ".join(f"{_named(utterance)}{utterance.label}".split())
    return f"{utterance.start:.6f}\t{utterance.end:.6f}\t{label}"


def webvtt(utterance: Utterance) -> str:
    """One subtitle, label and probability, for a file that begins with :data:`WEBVTT_HEAD`.

    >>> print(webvtt(Utterance("", 1.0, 3725.5, "happy", {"happy": 0.8}, 1.0)))
    00:00:01.000 --> 01:02:05.500
    happy 80%
    <BLANKLINE>
    """
    label, speaker = _escaped(utterance.label), _escaped(utterance.speaker or "")
    voice = f"<v {speaker}>" if speaker else ""
    sure = max(utterance.probabilities.values())
    return f"{_clock(utterance.start)} --> {_clock(utterance.end)}\n{voice}{label} {sure:.0%}\n"


def rttm(utterance: Utterance) -> str:
    """One line of Rich Transcription Time Marks.

    The fields are file, channel from 1, start, duration, emotion (the standard's subtype), speaker
    and, as confidence, the probability of the emotion. It is ``speaker_1`` if speakers are not
    distinguished.

    >>> rttm(Utterance("calls/a b.wav", 1.0, 2.5, "happy", {"happy": 0.8}, 1.0))
    'SPEAKER calls/a_b 1 1.000 1.500 <NA> happy speaker_1 0.800 <NA>'
    """
    name = utterance.file.removesuffix(Path(utterance.file).suffix)
    channel = (utterance.channel or 0) + 1
    times = f"{utterance.start:.3f} {utterance.end - utterance.start:.3f}"
    emotion, speaker = word(utterance.label), word(utterance.speaker or "speaker 1")
    sure = max(utterance.probabilities.values())
    return f"SPEAKER {word(name)} {channel} {times} <NA> {emotion} {speaker} {sure:.3f} <NA>"


def textgrid(utterances: Sequence[Utterance], seconds: float) -> str:
    """A whole TextGrid for Praat: a tier for each speaker, its intervals without speech empty.

    Args:
        utterances: of one recording, in order; only those of different speakers may overlap.
        seconds: duration of the recording.

    Returns:
        The file's text.
    """
    speakers = [*dict.fromkeys(each.speaker for each in utterances)] or [None]
    of = {name: [each for each in utterances if each.speaker == name] for name in speakers}
    tiers = {name or "emotion": [*_intervals(said, seconds)] for name, said in of.items()}
    end = max(marks[-1][1] for marks in tiers.values())
    lines = [f'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = {end:.6f}\n']
    lines.append(f"tiers? <exists>\nsize = {len(tiers)}\nitem []:\n")
    for number, (name, marks) in enumerate(tiers.items(), 1):
        if marks[-1][1] < end:
            marks.append((marks[-1][1], end, ""))
        lines += _tier(number, name, marks)
    return "".join(lines)


def _tier(number: int, name: str, marks: Sequence[tuple[float, float, str]]) -> Iterator[str]:
    yield f'    item [{number}]:\n        class = "IntervalTier"\n        name = {_quoted(name)}\n'
    yield f"        xmin = 0\n        xmax = {marks[-1][1]:.6f}\n"
    yield f"        intervals: size = {len(marks)}\n"
    for place, (start, end, label) in enumerate(marks, 1):
        yield (
            f"        intervals [{place}]:\n            xmin = {start:.6f}\n"
            f"            xmax = {end:.6f}\n            text = {_quoted(label)}\n"
        )


def eaf(utterances: Sequence[Utterance], file: str) -> str:
    """A whole annotation document: a tier for each speaker; it names the recording beside it.

    Args:
        utterances: of one recording, in order.
        file: name of the recording.

    Returns:
        The file's text, XML.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    about = {"AUTHOR": "affekt", "DATE": now, "FORMAT": "3.0", "VERSION": "3.0"}
    root = ElementTree.Element("ANNOTATION_DOCUMENT", {**about, **EAF_SCHEMA})
    header = ElementTree.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    if file:
        name = f"./{Path(file).name}"
        kind = mimetypes.guess_type(file)[0] or "audio/x-wav"
        media = {"MEDIA_URL": name, "RELATIVE_MEDIA_URL": name, "MIME_TYPE": kind}
        ElementTree.SubElement(header, "MEDIA_DESCRIPTOR", media)
    order = ElementTree.SubElement(root, "TIME_ORDER")
    speakers = [*dict.fromkeys(each.speaker for each in utterances)] or [None]
    tiers = {
        speaker: ElementTree.SubElement(
            root, "TIER", TIER_ID=speaker or "emotion", LINGUISTIC_TYPE_REF="emotion"
        )
        for speaker in speakers
    }
    for number, each in enumerate(utterances, 1):
        start, end = f"ts{2 * number - 1}", f"ts{2 * number}"
        for slot, seconds in ((start, each.start), (end, each.end)):
            time = {"TIME_SLOT_ID": slot, "TIME_VALUE": str(round(seconds * 1_000))}
            ElementTree.SubElement(order, "TIME_SLOT", time)
        span = {"ANNOTATION_ID": f"a{number}", "TIME_SLOT_REF1": start, "TIME_SLOT_REF2": end}
        annotation = ElementTree.SubElement(tiers[each.speaker], "ANNOTATION")
        aligned = ElementTree.SubElement(annotation, "ALIGNABLE_ANNOTATION", span)
        ElementTree.SubElement(aligned, "ANNOTATION_VALUE").text = each.label
    kind_of_tier = {"LINGUISTIC_TYPE_ID": "emotion", "TIME_ALIGNABLE": "true"}
    ElementTree.SubElement(root, "LINGUISTIC_TYPE", {**kind_of_tier, "GRAPHIC_REFERENCES": "false"})
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


LINES = {"audacity": audacity, "webvtt": webvtt, "rttm": rttm}
SUFFIXES = {
    "audacity": ".txt",
    "textgrid": ".TextGrid",
    "eaf": ".eaf",
    "webvtt": ".vtt",
    "rttm": ".rttm",
}


def annotation_file(form: str, utterances: Sequence[Utterance], seconds: float, file: str) -> str:
    """Write the annotation file of one recording.

    Args:
        form: one of :data:`SUFFIXES`.
        utterances: of the recording, in order.
        seconds: duration of the recording.
        file: name of the recording.

    Returns:
        The file's text.
    """
    if form == "textgrid":
        return textgrid(utterances, seconds)
    if form == "eaf":
        return eaf(utterances, file)
    head = [WEBVTT_HEAD] if form == "webvtt" else []
    return "".join(f"{line}\n" for line in [*head, *map(LINES[form], utterances)])


def _intervals(
    utterances: Sequence[Utterance], seconds: float
) -> Iterator[tuple[float, float, str]]:
    """Return start, end and label of intervals without gaps; a tier needs at least one."""
    at = 0.0
    for each in utterances:
        if each.start > at:
            yield at, each.start, ""
        yield each.start, each.end, each.label
        at = each.end
    if seconds > at or not utterances:
        yield at, seconds, ""


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _named(utterance: Utterance) -> str:
    """The speaker, if there is one, before the label."""
    return f"{utterance.speaker}: " if utterance.speaker else ""


def _escaped(text: str) -> str:
    """Text of WebVTT in one line."""
    return escape(" ".join(text.split()), quote=False)


def _clock(seconds: float) -> str:
    minutes, milliseconds = divmod(round(seconds * 1_000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1_000:02}.{milliseconds % 1_000:03}"
