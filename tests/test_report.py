"""Build report pages: complete, self-contained, reproducible, with missing parts left out."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from affekt.cli import main
from affekt.commands.output.printing import with_progress
from affekt.errors import RunError
from affekt.evaluation.intervals import INTERVAL, RANGE
from affekt.evaluation.results import collect
from affekt.evaluation.summary import write_summary
from affekt.report import charts, figures
from affekt.report.figures import ExampleClip, cross_corpus
from affekt.report.page import build_report
from affekt.report.style import save_png, themed, to_svg
from affekt.report.tsne import read_points
from affekt.runs.archive import archive_runs
from affekt.runs.reading import find_runs, read_run
from synthetic_runs import LABELS, make_run, runs_in


def read(*folders):
    return collect(map(read_run, find_runs(folders)))


EMPTY = {"meta", "img", "br", "link", "hr"}


def clips(_):
    time = np.arange(16_000, dtype=np.float32) / 16_000
    patch = np.random.default_rng(0).normal(size=(98, 64)).astype(np.float32)
    return [ExampleClip(label, np.sin(time), patch, 16_000, 0.01) for label in LABELS]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder, activations=True, note="<script>alert(1)</script>")
    make_run(folder, "ravdess-mfcc-svm", epochs=0, skill=0.3, method="mfcc-svm")
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Two quick recipes of three speakers."""
    folder = tmp_path_factory.mktemp("small")
    make_run(folder, speakers=3, epochs=0)
    make_run(folder, "ravdess-mfcc-svm", speakers=3, epochs=0, skill=0.3, method="mfcc-svm")
    return folder


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory):
    return build_report(read(runs), tmp_path_factory.mktemp("report"), clips=clips)


@pytest.fixture(scope="module")
def research(tmp_path_factory):
    """The page of recipes with profiles, validation answers, a variant, and unseen corpora."""
    runs = tmp_path_factory.mktemp("research")
    few = {"random-8": 0.1, "all": 0.2, "sad-4": 0.0}
    own = {"speakers": 3, "epochs": 0, "skill": 0.6, "sure": 4}
    make_run(runs, "ravdess-sequel", profiles=few, validation=True, **own)
    make_run(runs, "ravdess-sequel-frozen", frozen=True, profiles={"all": 0.2}, **own)
    three = {"corpora": ("emovo", "nemo", "ravdess"), "by_corpus": True}
    make_run(runs, "loco", done=1, profiles={"all": 0.1}, **three, **own)
    pair = {"corpora": ("emovo", "nemo"), "by_corpus": True}
    make_run(runs, "between", head="mean", activations=True, **pair, **own)
    return build_report(read(runs), tmp_path_factory.mktemp("report"))


class Outline(HTMLParser):
    """Open tags, and everything that the page asks for."""

    def __init__(self):
        super().__init__()
        self.open, self.asked, self.text, self.images = [], [], [], []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.asked += [given[name] for name in ("src", "href", "srcset") if name in given]
        if tag == "img":
            self.images.append(given)
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def outline(page):
    parsed = Outline()
    parsed.feed(page.read_text(encoding="utf-8"))
    assert parsed.open == []
    return parsed


def test_the_page_asks_for_nothing_but_its_own_files(page):
    text = page.read_text(encoding="utf-8")
    for asked in outline(page).asked:
        own = asked.startswith(("data:image/svg+xml;base64,", "#"))
        assert own or (page.parent / asked).is_file(), asked
    assert not re.search(r"https?://|<script|@import|url\(", text)


def test_the_page_holds_the_papers_tables_and_figures(page):
    text = " ".join("".join(outline(page).text).split())
    for part in ("Table I.", "Table II.", "Table III.", "Figure 2.", "Figure 3."):
        assert part in text
    for number in ("0.711", "0.854", "0.729", "0.531", "0.535", "0.250"):
        assert number in text
    assert "affekt run ravdess-mfcc-svm" in text
    assert "112 clips of 4 speakers, 4 classes. Leave-one-speaker-out" in text
    assert "nan" not in text.lower().replace("manner", "")


def test_every_number_shown_is_in_a_csv(page):
    tables = [pd.read_csv(path).select_dtypes("number") for path in page.parent.glob("*.csv")]
    given = {f"{abs(each):.3f}" for table in tables for each in table.to_numpy(float).ravel()}
    shown = {*re.findall(r"\d\.\d{3}", " ".join(outline(page).text))}
    assert len(shown) > 30
    assert shown <= given


def test_every_figure_has_words_and_files(page):
    images = outline(page).images
    assert len(images) >= 8
    assert all(image["alt"] for image in images)
    for path in page.parent.glob("*.svg"):
        drawing = path.read_text(encoding="utf-8")
        assert ElementTree.fromstring(drawing.encode()).tag.endswith("svg")
        assert "var(--" not in drawing  # which other programs than browsers do not know


def test_the_page_shows_calibration_and_enrolment(research):
    text = " ".join("".join(outline(research).text).split())
    name = "ravdess-leave-one-speaker-out-4"
    enrolled = pd.read_csv(research.parent / f"{name}-enrolment.csv").set_index("profile")
    assert list(enrolled.index) == ["none", "random-8", "all", "sad-4"]
    calibrated = pd.read_csv(research.parent / f"{name}-calibration.csv").set_index("scaling")
    for score in (enrolled["uar"], enrolled["gain"].dropna().abs(), calibrated["ece"]):
        assert all(f"{value:.3f}" in text for value in score)
    floor = f"the ECE to expect on as many clips is {calibrated['ece_floor'].iloc[-1]:.3f}."
    assert floor in text
    assert "YAMNet-LSTM, enrolment: 8 clips" in text
    assert "4 clips, sad" in text
    assert "fitted on the validation predictions of all folds, without the speakers" in text
    for part in ("reliability", "reliability-temperature", "coverage", "abstention"):
        assert (research.parent / f"{name}-{part}.csv").is_file()
    assert "nan" not in text.lower().replace("manner", "")


def test_the_page_puts_a_variant_below_its_recipe(research):
    text = " ".join("".join(outline(research).text).split())
    assert "Ablation of YAMNet-LSTM" in text
    assert "frozen = true" in text
    path = research.parent / "ravdess-leave-one-speaker-out-4-ablation-ravdess-sequel.csv"
    found = pd.read_csv(path)
    assert found["profile"].tolist() == ["none", "none", "random-8", "all", "all"]
    row = found.set_index(["recipe", "profile"]).loc[("ravdess-sequel-frozen", "all")]
    assert f"{abs(row['difference']):.3f}" in text


def test_a_variant_of_many_knobs_is_named_by_what_it_changes_of_its_recipe(tmp_path):
    """Its name begins with that of another variant, and is too long for one line."""
    changed = {"augment_channel": True, "augment_noise": True, "blocks": 5, "hop": 7680}
    changed |= {"label_smoothing": 0.1, "learning_rate": 0.01, "weight_decay": 0.001}
    many = "-".join(f"{name}={str(value).lower()}" for name, value in sorted(changed.items()))
    own = {"speakers": 3, "epochs": 0, "head": "mean"}
    make_run(tmp_path, "net", **own)
    make_run(tmp_path, "net-augment_channel=true", augment_channel=True, **own)
    make_run(tmp_path, f"net-{many}", **changed, **own)
    page = build_report(read(tmp_path), tmp_path / "report")  # warnings are errors
    changes = pd.read_csv(next(page.parent.glob("*-ablation-net.csv")))["changes"]
    assert sorted(each.count("=") for each in changes.dropna()) == [1, 7]
    text = " ".join("".join(outline(page).text).split())
    assert all(f"YAMNet, mean pooling, {each}" in text for each in changes.dropna())


def test_the_page_holds_the_cross_corpus_matrix(research):
    text = " ".join("".join(outline(research).text).split())
    matrix = pd.concat(map(pd.read_csv, research.parent.glob("cross-corpus-*-matrix.csv")))
    assert all(f"{value:.3f}" in text for value in matrix["uar"])
    cells = set(zip(matrix["recipe"], matrix["train"], matrix["test"], strict=True))
    assert {
        ("loco", "nemo+ravdess", "emovo"),
        ("between", "nemo", "emovo"),
        ("between", "emovo", "nemo"),
        ("ravdess-sequel", "ravdess", "ravdess"),
    } <= cells
    assert "EMOVO, unseen in training" in text
    assert "affekt run between" in text
    assert not list(research.parent.glob("nemo-emovo-*"))  # a cell has no section of its own
    means = pd.read_csv(research.parent / "cross-corpus-yamnet-mean-pooling-4-means.csv")
    assert means["recipe"].tolist() == ["between"]


def test_a_cell_of_the_matrix_marks_a_range_over_speakers():
    table = pd.DataFrame({"train": "a", "test": ["b", "a"], "profile": "none", "uar": [0.5, 0.7]})
    table = table.assign(low=0.4, high=0.6, spread=[RANGE, INTERVAL])
    axes = cross_corpus(table, {"a": "A", "b": "B", "none": "none"}).axes[0]
    assert sorted(text.get_text() for text in axes.texts) == [
        "0.50\n0.40 to 0.60*",
        "0.70\n0.40 to 0.60",
    ]


def test_a_page_of_cells_alone_is_whole(tmp_path):
    for name, hop in (("between", 7800), ("between-more", 100)):
        plan = {"corpora": ("a", "b"), "by_corpus": True, "epochs": 0, "hop": hop}
        make_run(tmp_path / "runs", name, **plan)
    page = build_report(read(tmp_path / "runs"), tmp_path / "report")
    text = "".join(outline(page).text)
    assert "Cross-corpus matrix of YAMNet-LSTM, 4 classes" in text
    assert "Not in the matrix" in text
    assert "on the same corpora: between-more." in text


def test_a_cell_of_a_corpus_that_lacks_a_label_has_no_score():
    row = {"train": "a", "test": "b", "profile": "none", "spread": INTERVAL}
    table = pd.DataFrame([row | dict.fromkeys(("uar", "low", "high"), np.nan)])
    axes = cross_corpus(table, {"a": "A", "b": "B", "none": "none"}).axes[0]
    assert [text.get_text() for text in axes.texts] == ["–"]


def test_two_tasks_of_one_corpus_are_told_apart(tmp_path):
    """They have as many labels, of which one differs."""
    make_run(tmp_path / "runs", "first", speakers=3, epochs=0)
    for path in make_run(tmp_path / "runs", "second", speakers=3, epochs=0).rglob("*.csv"):
        path.write_text(path.read_text().replace("sad", "calm"))
    page = build_report(read(tmp_path / "runs"), tmp_path / "report")
    start = "ravdess-leave-one-speaker-out-4-angry-happy"
    for label, recipe in (("sad", "first"), ("calm", "second")):
        table = pd.read_csv(page.parent / f"{start}-{label}-neutral-table-2.csv")
        assert table["recipe"].tolist() == [recipe]
        assert label in table
    text = page.read_text(encoding="utf-8")
    words = [f"(angry, happy, {label}, neutral)" for label in ("sad", "calm")]
    assert re.findall("<h2>(.*)</h2>", text) == [f"RAVDESS {labels}" for labels in words]
    assert all(f"RAVDESS, 4 classes {labels}, leave-one-speaker-out" in text for labels in words)


def test_clips_whose_label_was_corrected_are_not_compared(tmp_path):
    make_run(tmp_path / "runs", "before", speakers=3, epochs=0)
    for path in make_run(tmp_path / "runs", "corrected", speakers=3, epochs=0).rglob("*.csv"):
        text = path.read_text().replace("/angry-1.wav,angry,", "/angry-1.wav,sad,")
        path.write_text(re.sub("(/angry-1.wav,ravdess:..,.),angry,", r"\1,sad,", text))
    text = build_report(read(tmp_path / "runs"), tmp_path / "report").read_text(encoding="utf-8")
    assert "minus each other method" not in text


def test_the_page_says_that_a_recipe_is_shown_for_its_score(tmp_path):
    for name, skill in (("a", 0.5), ("b", 0.85)):
        make_run(tmp_path, name, speakers=3, epochs=0, skill=skill)
    words = "is shown because it has the highest UAR of the methods below"
    assert f"{words}; the" in build_report(read(tmp_path), tmp_path / "report").read_text()
    make_run(tmp_path, "b-more", speakers=3, epochs=0, skill=2.0, frozen=True)
    make_run(tmp_path, speakers=3, epochs=0, skill=0.3)  # the paper's, shown in any case
    text = build_report(read(tmp_path), tmp_path / "report").read_text()
    assert f"{words}, variants left out; the" in text


def test_a_page_is_written_after_its_files(small, tmp_path):
    (tmp_path / "ravdess-leave-one-speaker-out-4-table-2.csv").mkdir()
    with pytest.raises(RunError, match=r"cannot be written: .*\. Name another folder\."):
        build_report(read(small), tmp_path)
    assert not (tmp_path / "index.html").exists()


def test_a_report_that_cannot_be_computed_leaves_the_last_one(tmp_path):
    make_run(tmp_path / "runs", "mine", speakers=3, activations=True)
    results = read(tmp_path / "runs")
    page = build_report(results, tmp_path)
    before = {file: file.stat().st_ino for file in tmp_path.glob("*.*")}
    assert len(before) > 10
    for file in (tmp_path / "runs").rglob("activations.npz"):
        file.write_bytes(b"")
    with pytest.raises(RunError, match="must hold the arrays"):
        build_report(results, tmp_path)
    assert {file: file.stat().st_ino for file in tmp_path.glob("*.*")} == before
    assert page in before


def test_a_recipe_of_the_user_is_not_replaced(small, tmp_path):
    make_run(tmp_path / "runs", "mine", speakers=3, epochs=0)
    (tmp_path / "mine.toml").write_text("# My notes.\nepochs = 0\n")
    page = build_report(read(tmp_path / "runs"), tmp_path)
    assert "<code>affekt run mine.toml</code>" in page.read_text(encoding="utf-8")
    assert (tmp_path / "mine.toml").read_text() == "# My notes.\nepochs = 0\n"
    (tmp_path / "mine.toml").write_text("# Written by affekt report.\nold = 1\n")
    build_report(read(tmp_path / "runs"), tmp_path)
    assert "old" not in (tmp_path / "mine.toml").read_text()


def test_one_recipe_is_not_shown_for_its_score(tmp_path):
    make_run(tmp_path, "mine", speakers=3, epochs=0, profiles={"all": 0.2})
    page = build_report(read(tmp_path), tmp_path / "report")
    assert "the highest UAR of the methods" not in page.read_text(encoding="utf-8")


def test_intervals_and_ranges_in_one_figure_are_both_named():
    spread = [INTERVAL, RANGE]
    table = pd.DataFrame({"uar": [0.5, 0.6], "low": 0.4, "high": 0.7, "spread": spread})
    drawn = charts.recipes(table.assign(paper=np.nan), ["a", "b"], 0.25)
    texts = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert texts[0] == f"measured, {INTERVAL} or {RANGE}"


def test_names_with_dollar_signs_are_drawn():
    assert "svg" in to_svg(figures.confusion(np.eye(2, dtype=int), ["a_$_$", "$^$"]))


def test_a_late_step_shows_its_progress_before_its_first_part(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    parts = with_progress(["matrix", "section"], delay=-1.0)
    assert next(parts) == "matrix"
    assert "0/2" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)
    parts.close()


def test_protocols_are_not_mixed(tmp_path):
    runs = tmp_path / "runs"
    make_run(runs, speakers=3, epochs=0)
    folder = make_run(runs, "ravdess-held-out", speakers=3, epochs=0, done=1)
    folds = pd.read_csv(folder / "folds.csv")
    folds[folds["fold"] == 1].to_csv(folder / "folds.csv", index=False)
    text = build_report(read(runs), tmp_path / "report").read_text()
    assert "84 clips of 3 speakers, 4 classes.\nLeave-one-speaker-out." in text
    assert "28 clips of 1 speaker, 4 classes.\nHeld-out." in text
    assert "too few speakers: no interval" in text


def test_what_the_paper_reports_on_comes_first(tmp_path):
    make_run(tmp_path / "runs", "a-recipe-of-ours", speakers=3, epochs=0)
    folder = make_run(tmp_path / "runs", "ravdess-mfcc-svm", speakers=3, epochs=0)
    for path in folder.rglob("*.csv"):  # the same people of another corpus
        path.write_text(path.read_text().replace("ravdess:", "zebra:"))
    text = build_report(read(tmp_path / "runs"), tmp_path / "report").read_text()
    headings = re.findall(r"<h2>(\w+)</h2>", text)
    assert headings == ["ZEBRA", "RAVDESS"]
    assert text.index("paper, YAMNet-LSTM</dt>") < text.index("<h2>RAVDESS")


def test_what_is_missing_is_left_out(tmp_path):
    runs = tmp_path / "runs"
    clips = {"angry": 2, "happy": 1, "sad": 1}
    for name, angry in (("ravdess-mine", 2), ("ravdess-mine-more", 3)):  # of other clips
        few = {"epochs": 0, "done": 1, "clips": {**clips, "angry": angry}, "method": "mfcc-svm"}
        folder = make_run(runs, name, **few)
        folds = pd.read_csv(folder / "folds.csv")
        folds[folds["fold"] == 1].to_csv(folder / "folds.csv", index=False)
    text = build_report(read(runs), tmp_path / "report").read_text()
    assert "a class has no clip" in text
    for part in (
        "Not finished",
        "Figure 2",
        "Figure 3",
        "Learning curves",
        "<dt>paper",
        "minus each other method",
        "<h3>Enrolment",
        "Ablation of",
        "<h2>Cross-corpus",
        "The temperature of a fold",
    ):
        assert part not in text


def test_recipes_of_a_corpus_that_lacks_a_label_are_shown_without_a_score(tmp_path):
    some = {"clips": {"angry": 8, "happy": 8, "neutral": 4}, "epochs": 0}
    make_run(tmp_path / "runs", "mine-a", **some)
    make_run(tmp_path / "runs", "mine-b", **some)
    text = build_report(read(tmp_path / "runs"), tmp_path / "report").read_text()
    assert "a class has no clip" in text
    assert "minus each other method" not in text


def test_a_recipe_of_clips_that_lack_a_class_does_not_lead(tmp_path):
    make_run(tmp_path / "runs", "mine-a", clips={"angry": 8, "happy": 8, "neutral": 4}, epochs=0)
    make_run(tmp_path / "runs", "mine-b", epochs=0)
    text = build_report(read(tmp_path / "runs"), tmp_path / "report").read_text()
    assert "a class has no clip" not in text
    assert "(recipe mine-b, digest" in text


def test_a_finished_variant_is_calibrated_before_its_recipe_is_finished(tmp_path):
    own = {"speakers": 3, "epochs": 0, "validation": True}
    make_run(tmp_path / "runs", "net", done=2, **own)
    make_run(tmp_path / "runs", "net-frozen", frozen=True, **own)
    text = build_report(read(tmp_path / "runs"), tmp_path / "report").read_text()
    assert "<td>temperature scaling</td>" in text


def test_an_unfinished_run_is_shown_without_a_score(tmp_path):
    make_run(tmp_path / "runs", done=2, speakers=3)
    text = build_report(read(tmp_path / "runs"), tmp_path / "report").read_text()
    assert '<dd class="ours">2 of 3 folds<small>' in text
    assert "<b>Not finished:</b> 2 of 3 folds are done." in text
    assert "All methods" not in text
    row = text.partition('<td class="text">YAMNet-LSTM</td>')[2].partition("</tr>")[0]
    assert "<td>2 of 3 folds</td>" in row
    assert re.findall(r"0\.\d{3}", row) == ["0.711", "0.854", "0.729", "0.729", "0.531"]


def test_a_finished_recipe_goes_before_an_unfinished_one(tmp_path):
    """Even before the paper's own, which is in the table with its finished folds."""
    make_run(tmp_path / "runs", done=2, speakers=3)
    make_run(tmp_path / "runs", "ravdess-mfcc-svm", epochs=0, speakers=3, method="mfcc-svm")
    text = build_report(read(tmp_path / "runs"), tmp_path / "report").read_text()
    assert "<dt>MFCC + deep features, SVM</dt>" in text
    assert "<td>2 of 3 folds</td>" in text
    assert "Not finished" not in text


def test_a_report_of_nothing_or_to_nowhere_is_refused(runs, tmp_path):
    with pytest.raises(RunError, match="needs at least one run"):
        build_report(read(tmp_path), tmp_path / "report")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        build_report(read(runs), tmp_path / "file")


def test_equal_figures_give_equal_svg():
    assert to_svg(Figure()) == to_svg(Figure())  # no layout engine
    one, other = (to_svg(figures.confusion(np.eye(4), LABELS)) for _ in range(2))
    assert one == other


def test_a_drawing_is_sound_and_turns_light_on_dark():
    drawing = themed(to_svg(figures.confusion(np.diag([3, 2, 1, 0]), LABELS)))
    assert ElementTree.fromstring(drawing.encode()).tag.endswith("svg")
    assert "prefers-color-scheme:dark" in drawing
    assert "var(--ink)" in drawing
    assert "#1b2430" not in drawing.replace("--ink:#1b2430", "")


def test_speakers_without_a_gender_are_drawn(tmp_path):
    table = pd.DataFrame({"speaker": ["a", "b"], "gender": ["", "f"], "uar": [0.2, 0.9]})
    drawn = charts.speakers(table, 0.5, 0.25)
    assert "gender not given" in [text.get_text() for text in drawn.legends[0].get_texts()]
    unscored = charts.speakers(table, np.nan, 0.25).legends[0].get_texts()
    assert [text.get_text() for text in unscored][-1] == "chance 0.25"
    assert not any(text.get_text().startswith("all") for text in unscored)
    save_png(drawn, tmp_path / "speakers.png")
    assert (tmp_path / "speakers.png").stat().st_size > 10_000


def test_the_command_writes_page_summary_and_archive(small, tmp_path, capsys):
    where = ["-o", str(tmp_path / "report"), "--archive", str(tmp_path / "results")]
    assert main(["report", str(small), *where, "--summary", str(tmp_path / "summary.csv")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "report" / "index.html")
    assert len(pd.read_csv(tmp_path / "summary.csv")) == 2
    assert (tmp_path / "results/ravdess-mfcc-svm/seed-0/run.json").is_file()
    assert main(["report", str(small), *where, "--data", str(tmp_path / "nowhere")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_file_of_a_report_is_the_old_one_or_the_new_one(small, tmp_path):
    """Each file is replaced, not written in place."""
    output, summary = tmp_path / "report", tmp_path / "report" / "summary.csv"
    inodes = []
    for _ in range(2):
        build_report(read(small), output)
        write_summary(read(small), summary)
        inodes.append({file: file.stat().st_ino for file in output.iterdir()})
    before, after = inodes
    assert {file.suffix for file in before} == {".html", ".csv", ".svg"}
    assert before.keys() == after.keys()
    assert [file.name for file in before if before[file] == after[file]] == []


def test_kept_runs_give_the_same_page_byte_for_byte(runs, page, tmp_path):
    archive_runs(runs_in(runs), tmp_path / "results", points=read_points)
    kept = build_report(read(tmp_path / "results"), tmp_path, clips=clips)
    assert kept.read_bytes() == page.read_bytes()


def test_the_page_is_built_without_torch(small, tmp_path):
    code = """
import sys
class Blocked:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("torch", "onnxruntime", "librosa"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocked())
from affekt.cli import main
sys.exit(main(sys.argv[1:]))
"""
    command = [sys.executable, "-c", code, "report", str(small), "-o", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "index.html").is_file()


@pytest.mark.corpus
def test_figure_two_is_drawn_from_recordings(data, small, tmp_path, capsys):
    where = ["-o", str(tmp_path), "--data", str(data / "ravdess")]
    assert main(["report", str(small), *where]) == 0
    assert "Figure 2." in Path(capsys.readouterr().out.strip()).read_text()
