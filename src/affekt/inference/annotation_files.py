"""Write utterances as annotation files: Audacity labels, TextGrid, EAF, WebVTT and RTTM.

Source: the manuals of Audacity ("Importing and Exporting Labels") and Praat ("TextGrid file
formats"); MPI for Psycholinguistics, "EAF Annotation Format"; W3C, "WebVTT"; NIST, "The 2009 Rich
Transcription Evaluation Plan", appendix A.
"""

import mimetypes
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from affekt.inference.timeline import Utterance

WEBVTT_HEAD = "WEBVTT\n"
EAF_SCHEMA = (
    "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation",
    "http://www.mpi.nl/tools/elan/EAFv3.0.xsd",
)


def audacity(utterance: Utterance) -> str:
    """One line of a label track for Audacity: start, end and label in columns.

    >>> audacity(Utterance("", 1.0, 2.5, "happy", {"happy": 1.0}, 1.0))
    '1.000000\\t2.500000\\thappy'
    """
    return f"{utterance.start:.6f}\t{utterance.end:.6f}\t{' '.join(utterance.label.split())}"


def webvtt(utterance: Utterance) -> str:
    """One subtitle, label and probability, for a file that begins with :data:`WEBVTT_HEAD`.

    >>> print(webvtt(Utterance("", 1.0, 3725.5, "happy", {"happy": 0.8}, 1.0)))
    00:00:01.000 --> 01:02:05.500
    happy 80%
    <BLANKLINE>
    """
    label = " ".join(utterance.label.split())
    for character, escape in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        label = label.replace(character, escape)
    sure = max(utterance.probabilities.values())
    return f"{_clock(utterance.start)} --> {_clock(utterance.end)}\n{label} {sure:.0%}\n"


def rttm(utterance: Utterance) -> str:
    """One line of Rich Transcription Time Marks, the emotion where a speaker's name would be.

    The fields are file, start, duration, label and, as confidence, the label's probability.

    >>> rttm(Utterance("calls/a b.wav", 1.0, 2.5, "happy", {"happy": 0.8}, 1.0))
    'SPEAKER calls/a_b 1 1.000 1.500 <NA> <NA> happy 0.800 <NA>'
    """
    name = utterance.file.removesuffix(Path(utterance.file).suffix)  # with its folder: mic.wav
    file, label = _word(name), _word(utterance.label)
    times = f"{utterance.start:.3f} {utterance.end - utterance.start:.3f}"
    sure = max(utterance.probabilities.values())
    return f"SPEAKER {file} 1 {times} <NA> <NA> {label} {sure:.3f} <NA>"


def textgrid(utterances: Sequence[Utterance], seconds: float) -> str:
    """A whole TextGrid for Praat: one tier, its intervals without speech empty.

    Args:
        utterances: of one recording, in order and apart.
        seconds: how long the recording is.

    Returns:
        The file's text.
    """
    marks = [*_intervals(utterances, seconds)]
    span = f"xmin = 0\n{{0}}xmax = {marks[-1][1]:.6f}\n"
    lines = ['File type = "ooTextFile"\nObject class = "TextGrid"\n\n' + span.format("")]
    lines.append("tiers? <exists>\nsize = 1\nitem []:\n    item [1]:\n")
    lines.append('        class = "IntervalTier"\n        name = "emotion"\n')
    lines.append("        " + span.format(" " * 8))
    lines.append(f"        intervals: size = {len(marks)}\n")
    for number, (start, end, label) in enumerate(marks, 1):
        text = label.replace('"', '""')
        lines.append(
            f"        intervals [{number}]:\n            xmin = {start:.6f}\n"
            f'            xmax = {end:.6f}\n            text = "{text}"\n'
        )
    return "".join(lines)


def eaf(utterances: Sequence[Utterance], file: str) -> str:
    """A whole annotation document for ELAN: one tier, which names the recording beside it.

    Args:
        utterances: of one recording, in order.
        file: name of the recording.

    Returns:
        The file's text, XML.
    """
    kind = mimetypes.guess_type(file)[0] or "audio/x-wav"
    now = datetime.now(UTC).isoformat(timespec="seconds")
    about = {"AUTHOR": "affekt", "DATE": now, "FORMAT": "3.0", "VERSION": "3.0"}
    root = ElementTree.Element("ANNOTATION_DOCUMENT", {**about, EAF_SCHEMA[0]: EAF_SCHEMA[1]})
    header = ElementTree.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    if file:
        name = f"./{Path(file).name}"
        media = {"MEDIA_URL": name, "RELATIVE_MEDIA_URL": name, "MIME_TYPE": kind}
        ElementTree.SubElement(header, "MEDIA_DESCRIPTOR", media)
    order = ElementTree.SubElement(root, "TIME_ORDER")
    tier = ElementTree.SubElement(root, "TIER", TIER_ID="emotion", LINGUISTIC_TYPE_REF="emotion")
    for number, each in enumerate(utterances, 1):
        slots = {f"ts{2 * number - 1}": each.start, f"ts{2 * number}": each.end}
        for slot, seconds in slots.items():
            time = {"TIME_SLOT_ID": slot, "TIME_VALUE": str(round(seconds * 1_000))}
            ElementTree.SubElement(order, "TIME_SLOT", time)
        start, end = slots
        span = {"ANNOTATION_ID": f"a{number}", "TIME_SLOT_REF1": start, "TIME_SLOT_REF2": end}
        annotation = ElementTree.SubElement(tier, "ANNOTATION")
        aligned = ElementTree.SubElement(annotation, "ALIGNABLE_ANNOTATION", span)
        ElementTree.SubElement(aligned, "ANNOTATION_VALUE").text = each.label
    type_ = {"LINGUISTIC_TYPE_ID": "emotion", "TIME_ALIGNABLE": "true"}
    ElementTree.SubElement(root, "LINGUISTIC_TYPE", {**type_, "GRAPHIC_REFERENCES": "false"})
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
        seconds: how long it is.
        file: its name.

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
    """Start, end and label of intervals that leave nothing out; a tier must have one."""
    at = 0.0
    for each in utterances:
        if each.start > at:
            yield at, each.start, ""
        yield each.start, each.end, each.label
        at = each.end
    if seconds > at or not utterances:
        yield at, seconds, ""


def _word(text: str) -> str:
    """Text without blanks, which part the fields of a line."""
    return "_".join(text.split()) or "-"


def _clock(seconds: float) -> str:
    minutes, milliseconds = divmod(round(seconds * 1_000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1_000:02}.{milliseconds % 1_000:03}"
