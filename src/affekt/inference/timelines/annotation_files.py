"""Write utterances as annotation files: Audacity labels, TextGrid, EAF, WebVTT and RTTM.

Source: the manuals of Audacity ("Importing and Exporting Labels") and Praat ("TextGrid file
formats"); W3C, "WebVTT"; MPI for Psycholinguistics, "EAF Annotation Format"; NIST, "The 2009 Rich
Transcription Evaluation Plan", appendix A.
"""

import mimetypes
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from operator import attrgetter, itemgetter
from pathlib import Path
from xml.etree import ElementTree

from affekt.inference.timelines.rttm import word
from affekt.inference.timelines.timeline import Utterance

XML_SCHEMA = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
EAF_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"


def audacity(utterance: Utterance) -> str:
    """One line of a label track for Audacity: start, end, and speaker and label in columns.

    >>> audacity(Utterance("", 1.0, 2.5, "happy", {"happy": 1.0}, 1.0))
    '1.000000\\t2.500000\\thappy'
    """
    speaker = f"{utterance.speaker}: " if utterance.speaker else ""
    label = " ".join(f"{speaker}{utterance.label}".split())
    return f"{utterance.start:.6f}\t{utterance.end:.6f}\t{label}"


def webvtt(utterance: Utterance) -> str:
    """One subtitle, label and probability.

    >>> print(webvtt(Utterance("", 1.0, 3725.5, "happy", {"happy": 0.8}, 1.0)))
    00:00:01.000 --> 01:02:05.500
    happy 80%
    <BLANKLINE>
    """
    names = (" ".join(name.split()) for name in (utterance.label, utterance.speaker or ""))
    label, speaker = (escape(name, quote=False) for name in names)
    times = f"{_clock(utterance.start)} --> {_clock(utterance.end)}"
    voice = f"<v {speaker}>" if speaker else ""
    return f"{times}\n{voice}{label} {utterance.confidence:.0%}\n"


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
    fields = f"{word(name)} {channel} {times} <NA> {emotion} {speaker}"
    return f"SPEAKER {fields} {utterance.confidence:.3f} <NA>"


def textgrid(utterances: Sequence[Utterance], seconds: float) -> str:
    """A whole TextGrid for Praat: a tier for each speaker, its intervals without speech empty.

    The utterances are those of a recording of ``seconds``, in order; only those of different
    speakers may overlap.
    """
    speakers = _speakers(utterances)
    end = max([seconds, *(each.end for each in utterances)])
    lines = [f'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = {end:.6f}\n']
    lines.append(f"tiers? <exists>\nsize = {len(speakers)}\nitem []:\n")
    for number, speaker in enumerate(speakers, 1):
        marks = [*_intervals([each for each in utterances if each.speaker == speaker], end)]
        name = _quoted(speaker or "emotion")
        lines.append(
            f'    item [{number}]:\n        class = "IntervalTier"\n        name = {name}\n'
            f"        xmin = 0\n        xmax = {end:.6f}\n"
            f"        intervals: size = {len(marks)}\n"
        )
        lines += [
            f"        intervals [{place}]:\n            xmin = {start:.6f}\n"
            f"            xmax = {stop:.6f}\n            text = {_quoted(label)}\n"
            for place, (start, stop, label) in enumerate(marks, 1)
        ]
    return "".join(lines)


def eaf(utterances: Sequence[Utterance], file: str) -> str:
    """A whole annotation document (XML) for ELAN, with a tier for each speaker.

    The utterances are those of one recording, in order. The document names the file beside it.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    about = {"AUTHOR": "affekt", "DATE": now, "FORMAT": "3.0", "VERSION": "3.0"}
    root = ElementTree.Element("ANNOTATION_DOCUMENT", {**about, XML_SCHEMA: EAF_SCHEMA})
    header = ElementTree.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    if file:
        name = f"./{Path(file).name}"
        kind = mimetypes.guess_type(file)[0] or "audio/x-wav"
        media = {"MEDIA_URL": name, "RELATIVE_MEDIA_URL": name, "MIME_TYPE": kind}
        ElementTree.SubElement(header, "MEDIA_DESCRIPTOR", media)
    order = ElementTree.SubElement(root, "TIME_ORDER")
    tiers = {}
    for speaker in _speakers(utterances):
        about = {"TIER_ID": speaker or "emotion", "LINGUISTIC_TYPE_REF": "emotion"}
        tiers[speaker] = ElementTree.SubElement(root, "TIER", about)
    slots: list[tuple[int, str]] = []
    for number, each in enumerate(utterances, 1):
        start, end = f"ts{2 * number - 1}", f"ts{2 * number}"
        slots += [(round(each.start * 1_000), start), (round(each.end * 1_000), end)]
        span = {"ANNOTATION_ID": f"a{number}", "TIME_SLOT_REF1": start, "TIME_SLOT_REF2": end}
        annotation = ElementTree.SubElement(tiers[each.speaker], "ANNOTATION")
        aligned = ElementTree.SubElement(annotation, "ALIGNABLE_ANNOTATION", span)
        ElementTree.SubElement(aligned, "ANNOTATION_VALUE").text = each.label
    for time, slot in sorted(slots, key=itemgetter(0)):
        ElementTree.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=slot, TIME_VALUE=str(time))
    about = {"LINGUISTIC_TYPE_ID": "emotion", "TIME_ALIGNABLE": "true"}
    ElementTree.SubElement(root, "LINGUISTIC_TYPE", {**about, "GRAPHIC_REFERENCES": "false"})
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


LINES = {"audacity": audacity, "rttm": rttm}
SUFFIXES = {
    "audacity": ".txt",
    "textgrid": ".TextGrid",
    "eaf": ".eaf",
    "webvtt": ".vtt",
    "rttm": ".rttm",
}


def annotation_file(form: str, utterances: Sequence[Utterance], seconds: float, file: str) -> str:
    """Return the text of the annotation file of one recording, in a form of :data:`SUFFIXES`.

    The utterances are in order; ``seconds`` and ``file`` are the recording's duration and name.
    """
    if form == "textgrid":
        return textgrid(utterances, seconds)
    if form == "eaf":
        return eaf(utterances, file)
    if form == "webvtt":  # whose times must not go back
        return "\n".join(["WEBVTT\n", *map(webvtt, sorted(utterances, key=attrgetter("start")))])
    return "".join(f"{line}\n" for line in map(LINES[form], utterances))


def _speakers(utterances: Sequence[Utterance]) -> list[str | None]:
    """Names of the tiers; one without a name if speakers are not distinguished."""
    return [*dict.fromkeys(each.speaker for each in utterances)] or [None]


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


def _clock(seconds: float) -> str:
    minutes, milliseconds = divmod(round(seconds * 1_000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1_000:02}.{milliseconds % 1_000:03}"
