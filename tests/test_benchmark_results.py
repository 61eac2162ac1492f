"""Compare the tables of the pages with what the benchmarks measured, in ``results/``."""

import json
import re
from typing import Any

import pytest

from test_results import RESULTS, rows_of, text_of

CORPORA = {"ravdess": "RAVDESS", "emovo": "EMOVO", "nemo": "nEMO", "cremad": "CREMA-D"}


def page(name: str) -> str:
    return text_of(f"docs/{name}.md")


def prose(name: str) -> str:
    return " ".join(page(name).split())


def json_of(name: str) -> Any:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def test_the_page_on_quality_has_the_measured_faults() -> None:
    for row in rows_of("quality.csv"):
        strength = f"{float(row['strength']):g}" if float(row["strength"]) else ""
        strength = "0" if row["fault"] == "SNR, dB" and not strength else strength
        uar, low, high, refused = (float(row[name]) for name in ("uar", "low", "high", "refused"))
        cells = f"| {row['fault']} | {strength} | {uar:.3f} ({low:.3f} to {high:.3f}) |"
        assert f"{cells} {refused:.3f} |" in page("quality")


def test_the_page_on_deployment_has_the_measured_load() -> None:
    one, two = json_of("service.json")["services"]
    lines = []
    for first, second in zip(one["uploads"], two["uploads"], strict=True):
        number = first["clients"]
        load = f"{number} client{'s upload' if number > 1 else ' uploads'}"
        cells = [
            f"{each['per_second']:.1f} /s; {each['p50']:.3f} s, {each['p99']:.3f} s"
            for each in (first, second)
        ]
        lines.append(f"| {load} | {' | '.join(cells)} |")
    for load, key in (
        ("8 live streams alone", "streams_alone"),
        ("8 live streams, 8 clients upload", "streams_beside_uploads"),
    ):
        cells = [f"{each[key]['p50']:.3f} s, {each[key]['p99']:.3f} s" for each in (one, two)]
        lines.append(f"| {load} | {' | '.join(cells)} |")
    cells = ["{mb_before:.0f} MB, {mb_after:.0f} MB".format(**x["memory"]) for x in (one, two)]
    lines.append(f"| memory before and after 500 uploads | {' | '.join(cells)} |")
    assert not [line for line in lines if line not in page("deploy")]
    after = [each["memory"] for each in json_of("service-memory.json")["services"]]
    parts = ["{mb_before:.0f} and {mb_after:.0f} MB with".format(**each) for each in after]
    assert f"memory was {parts[0]} one worker, and {parts[1]} two" in prose("deploy")


def test_the_page_on_ablations_has_the_measured_development_splits() -> None:
    uar = {
        (row["changes"], row["split"], row["corpus"], row["enrolment"]): float(row["uar"])
        for row in rows_of("development.csv")
    }
    trained = {"half": "half of each corpus", "cremad": "CREMA-D"}
    trained["others"] = "RAVDESS, EMOVO, nEMO"
    for split, corpus in {key[1:3] for key in uar}:
        measured = [
            uar[changes, split, corpus, enrolment]
            for enrolment in ("none", "random-8")
            for changes in ("", "perceived=0.5")
        ]
        start = f"| {trained[split]} | {CORPORA[corpus]} |"
        (line,) = (x for x in page("ablations").splitlines() if x.startswith(start))
        shown = [float(cell) for cell in line.removeprefix(start).split("|")[:-1]]
        assert shown == pytest.approx(measured, abs=6e-4)  # both are rounded


def test_the_page_on_ablations_has_the_measured_reaction() -> None:
    rows = rows_of("reaction.csv")
    for answer, words in (("20 s", "probabilities"), ("2 s", "recent")):
        for enrolment in ("none", "8 clips", "adapting"):
            never = [
                float(row["never"])
                for row in rows
                if (row["answer"], row["enrolment"]) == (answer, enrolment)
            ]
            start = f"| time constant {answer} (`{words}`) | {enrolment} |"
            (line,) = (x for x in page("ablations").splitlines() if x.startswith(start))
            assert line.endswith(f"| {100 * sum(never) / len(never):.0f} % |")
    medians = {
        f"{row['before']} to {row['after']}": float(row["median"])
        for row in rows
        if (row["answer"], row["enrolment"]) == ("2 s", "none")
    }
    slowest = max(medians, key=lambda pair: medians[pair])
    words = f"{slowest}: {medians[slowest]:.1f} s for `recent` without enrolment."
    assert f"The slowest pair is {words}" in prose("ablations")
    for model in ("affekt", "affekt-open"):
        card = " ".join(text_of(f"src/affekt/models/{model}.md").split())
        assert f"after {medians[slowest]:.1f} s from {slowest}" in card
    rows = rows_of("short-clips.csv")
    for long, short in zip(rows[::2], rows[1::2], strict=True):
        assert (long["answer"], short["answer"]) == ("20 s", "2 s")
        cells = f"{float(long['uar']):.3f} | {float(short['uar']):.3f}"
        assert f"| {long['windows']} | {cells} |" in page("ablations")


def test_the_page_on_speed_has_the_measured_graphs() -> None:
    for graph, hours in json_of("bench.json")["graphs_alone"].items():
        name = f"`{graph}`" if graph == "affekt" else graph
        assert f"| {name} | {hours:,.0f} |" in page("speed")


@pytest.mark.parametrize("model", ["affekt", "affekt-small"])
def test_the_page_on_reliability_has_the_measured_soak(model: str) -> None:
    first, *_, last = rows = rows_of(f"soak-{model}.csv")
    streams, uploads = int(last["streams"]), int(last["uploads"])
    minutes = round(20 * streams / 64 / 60)  # sounds of 20 s, on 64 streams at a time
    highest = max(rows, key=lambda row: float(row["memory_mb"]))
    cells = (
        f"`{model}` | {last['minute']} | {streams:,} | {uploads:,} | {minutes} min",
        f"{float(last['difference']):.1e}".replace("e-0", "e-"),
        f"{float(first['memory_mb']):.0f} MB",
        f"{float(highest['memory_mb']):.0f} MB, {highest['minute']}",
    )
    assert f"| {' | '.join(cells)} |" in page("reliability")


@pytest.mark.parametrize("model", ["affekt", "affekt-small"])
def test_the_card_names_the_highest_ece_of_women_or_men(model: str) -> None:
    card = text_of(f"src/affekt/models/{model}.md")
    found = re.findall(
        r"^\| .*, (?:wo)?men \| none \|.*\| ([\d.]+) \([\d.]+\) \|$", card, re.MULTILINE
    )
    words = f"up to {max(map(float, found))} for women or men alone"
    assert words in " ".join(card.split())
