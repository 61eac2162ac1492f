"""Export a journal as CSV, JSON or FHIR R4."""

import csv
import json
import uuid
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TextIO

from affekt.csv_rows import CsvRows, no_formula
from affekt.journal.entry import CONTROL, Entry
from affekt.journal.store import Journal

ABOUT = ("digest", "recorded", "name", "duration", "speech", "label", "reason")
LAST = ("model", "profile", "note")
UNITS = "http://unitsofmeasure.org"
METHOD = (
    "Share of each emotion class in the output of an acoustic model trained on acted speech, "
    "weighted by seconds of speech. Derived by a device; not confirmed by a person."
)


def write_csv(journal: Journal, out: TextIO) -> None:
    """Write one row for each entry, for a spreadsheet.

    Text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    entries = journal.entries()
    baseline = set(journal.baseline_digests())
    labels = _names(entry.probabilities for entry in entries)
    measured = _names(entry.quality for entry in entries)
    writer = csv.writer(CsvRows(out))
    writer.writerow([*ABOUT, *(f"p_{label}" for label in labels), *measured, "baseline", *LAST])
    for entry in entries:
        cells = [getattr(entry, name) for name in ABOUT]
        cells += [entry.probabilities.get(label, "") for label in labels]
        cells += [entry.quality.get(name, "") for name in measured] + [entry.digest in baseline]
        cells += [getattr(entry, name) for name in LAST]
        writer.writerow([no_formula(cell) for cell in cells])


def write_json(journal: Journal, out: TextIO) -> None:
    """Write the journal as one JSON object with all its entries and utterances."""
    baseline = set(journal.baseline_digests())
    entries = [
        asdict(entry) | {"baseline": entry.digest in baseline} for entry in journal.entries()
    ]
    about = {"person": journal.person, "baseline": journal.baseline, "entries": entries}
    json.dump(about, out, indent=1, ensure_ascii=False)
    out.write("\n")


def write_fhir(journal: Journal, out: TextIO) -> None:
    """Write a FHIR R4 Bundle: an Observation per entry with an emotion, and a Device per model.

    The resources are made and checked by ``fhir.resources``, whose module R4B has the same
    Observation and Device as R4.

    Raises:
        ModuleNotFoundError: the extra ``journal`` is not installed.
    """
    from fhir.resources.R4B.bundle import Bundle

    entries = [entry for entry in journal.entries() if not entry.reason]
    resources = [_device(model) for model in dict.fromkeys(entry.model for entry in entries)]
    resources += [_observation(entry, journal.person) for entry in entries]
    bundle: dict[str, Any] = {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if resources:
        bundle["entry"] = [
            {"fullUrl": _address(each["id"]), "resource": each} for each in resources
        ]
    out.write(Bundle.model_validate(bundle).model_dump_json(indent=1) + "\n")


def _device(model: str) -> dict[str, Any]:
    return {
        "resourceType": "Device",
        "id": f"model-{model[:32]}",
        "deviceName": [{"name": "affekt", "type": "user-friendly-name"}],
        "type": {"text": "Speech emotion recognition software"},
        "version": [{"value": f"SHA-256 of the model file: {model}"}],
    }


def _observation(entry: Entry, person: str) -> dict[str, Any]:
    recorded = entry.recorded
    if "T" in recorded:
        moment = datetime.fromisoformat(recorded).astimezone()
        if moment.second != moment.astimezone(UTC).second:  # local time of an early year
            moment = moment.astimezone(UTC)  # FHIR has no seconds in an offset
        recorded = moment.isoformat()
    parts = {f"probability of {label}": (p, "1") for label, p in entry.probabilities.items()}
    parts |= {"duration": (entry.duration, "s"), "speech": (entry.speech, "s")}
    observation: dict[str, Any] = {
        "resourceType": "Observation",
        "id": f"recording-{entry.digest[:32]}",
        "status": "preliminary",  # not verified by a person
        "code": {"text": "Emotion classes of a voice recording, by acoustic model"},
        "effectiveDateTime": recorded,
        "device": {"reference": _address(f"model-{entry.model[:32]}")},
        "method": {"text": METHOD},
        "component": [
            {
                "code": {"text": name},
                "valueQuantity": {"value": value, "unit": unit, "system": UNITS, "code": unit},
            }
            for name, (value, unit) in parts.items()
        ],
    }
    display, note = (CONTROL.sub(" ", text).strip() for text in (person, entry.note))
    if display:
        observation["subject"] = {"display": display}
    if note:
        observation["note"] = [{"text": note}]
    return observation


def _address(identifier: str) -> str:
    return uuid.uuid5(uuid.NAMESPACE_OID, identifier).urn


def _names(tables: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(name for table in tables for name in table))
