"""Test recipes: every check of a knob, constant digests, and every recipe in the repository."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from affekt.cli import main
from affekt.corpora import CORPORA
from affekt.errors import RecipeError
from affekt.evaluation.paper import PUBLISHED
from affekt.evaluation.results import collect
from affekt.experiments.baselines import KINDS
from affekt.experiments.recipe import Recipe, knob_table
from affekt.experiments.recipe_files import read_recipe
from affekt.report.page import build_report
from affekt.runs.folder import command_of
from affekt.runs.reading import find_runs, read_run
from synthetic_runs import make_run

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))
PAPER = {
    "corpus": "ravdess",
    "protocol": "leave-one-speaker-out",
    "validation": 0.2,
    "hop": 7_800,
    "frozen": False,
    "head": "lstm",
    "learning_rate": 3e-4,
    "batch": 24,
    "epochs": 50,
}


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_paper_is_the_default() -> None:
    recipe = read_recipe(RECIPES[0].with_name("ravdess-yamnet-lstm.toml"))
    assert recipe.changed == {"precision": "bfloat16"}  # which the paper leaves open
    assert {name: getattr(recipe, name) for name in PAPER} == PAPER


def test_digests_are_constant() -> None:
    """Runs are found by their digests: a changed digest would lose all measured runs."""
    assert Recipe("any").digest == "44136fa355b3"
    assert Recipe("any", seed=1).digest == "a4bbadc1c789"
    assert Recipe("any", held_out=("a:1",), protocol="held-out").digest == "57e0bb786b3d"
    assert read_recipe(RECIPES[0].with_name("ravdess-yamnet-lstm.toml")).digest == "ad1807555c78"
    assert read_recipe(RECIPES[0].with_name("ravdess-profile.toml")).digest == "2cad12bf5bd8"
    assert read_recipe(RECIPES[0].with_name("crossing.toml")).digest == "fd2d7ee5d2e8"
    assert read_recipe(RECIPES[0].with_name("ravdess-held-out.toml")).digest == "15590287ef98"


def test_a_digest_depends_on_changed_knobs_and_not_on_the_name() -> None:
    assert Recipe("a").digest == Recipe("b", epochs=50).digest
    assert Recipe("a").digest != Recipe("a", epochs=49).digest
    assert Recipe("a", weight_decay=0).digest == Recipe("a").digest  # 0 is 0.0
    assert Recipe("a", seed=3).run == f"a-{Recipe('a', seed=3).digest}"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_of_the_repository(path: Path) -> None:
    recipe = read_recipe(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert len(lines) <= 2 + len(recipe.changed)  # a comment, what differs, DEMoS' ten folds
    corpora = recipe.corpus.split("+")
    assert {*corpora} <= {*CORPORA}
    if len(corpora) == 1 and recipe.protocol != "train-on-everybody":
        own = recipe.name.startswith(("ingredients", "encoder-ablation"))
        assert own or recipe.name.startswith(recipe.corpus)
        few = (
            own
            or recipe.name.startswith("ravdess-ablation")
            or recipe.corpus in ("demos", "cremad")
        )
        protocol = "speaker-folds" if few else "leave-one-speaker-out"
        assert recipe.protocol in (protocol, "held-out")
    if recipe.method != "network":
        unselected = "" if recipe.select_features else "-all-features"
        assert recipe.name == f"{recipe.corpus}-{recipe.method}{unselected}"
        assert recipe.method.removeprefix("mfcc-").removeprefix("gtcc-") in KINDS


def test_every_row_of_the_paper_has_a_recipe_and_no_two_are_the_same_run() -> None:
    names = [path.stem for path in RECIPES]
    assert set(PUBLISHED) <= set(names)
    assert len({read_recipe(path).digest for path in RECIPES}) == len(RECIPES)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("learnin_rate = 0.1", "'learnin_rate'. Did you mean learning_rate?"),
        ("zzz = 1", "'zzz'. See `affekt recipe`"),
        ('name = "other"', "'name'"),
        ("epochs = 0", "epochs of recipe mine must be int in [1, 10000]. Got 0"),
        ("epochs = 2.5", "Got 2.5"),
        ("epochs = true", "Got True"),
        ("hop = 15601", "in [1, 15600]. Got 15601"),
        ("seed = -1", "in [0, 2147483647]"),
        ("learning_rate = nan", "Got nan"),
        (f"learning_rate = 1{'0' * 400}", "learning_rate of recipe mine must be float in [1e-08"),
        ('learning_rate = "fast"', "Got 'fast'"),
        (
            "frozen = 1",
            "frozen of recipe mine must be true or false. Got 1. Leave it out for the default, f",
        ),
        ('head = "attention"', "one of lstm, mean, statistics. Got 'attention'"),
        ("head = ['lstm']", "one of lstm, mean"),
        ('method = "mfcc-knn"', "Got 'mfcc-knn'"),
        ("corpus = 3", "corpus of recipe mine must be str"),
        ("held_out = [21]\nprotocol = 'held-out'", "a list of strings"),
        ("protocol = 'held-out'", "held_out of recipe mine must name the test speakers"),
        ("held_out = ['ravdess:21']", 'of no other. Got ["ravdess:21"]'),
        ("protocol = 'train-on-one-corpus'", "must name the training corpus of protocol"),
        ("source = 'emovo'", 'of no other. Got "emovo" with protocol leave-one-speaker-out'),
        ("time_constant = 20", "time_constant of recipe mine has no effect without head mean"),
        ("memory = 2.0", "time_constant of recipe mine has no effect without head mean or stat"),
        (
            "speaker_normalization = true",
            "frozen of recipe mine must be true with speaker_normalization",
        ),
        ("loudness = 'running'\nfront_end = 'power'", "must be given with front_end power"),
        ("blocks = 14", "blocks of recipe mine must be int in [1, 13]. Got 14"),
        ("last_window = 'cut'", "last_window of recipe mine must be one of drop, pad. Got 'cut'"),
        ("augmented_speakers = 2\nmethod = 'gtcc-svm'", "has no effect without method network"),
        (
            "hop = 7801\nmethod = 'chance-majority'",
            "hop of recipe mine has no effect without a",
        ),
        ("protocol = 'train-on-everybody'\nkeep = 'last'\nvalidation = 0.3", "other protocols"),
        ("select_features = false", "has no effect without a baseline's features"),
        (
            "select_features = false\nmethod = 'chance-majority'",
            "has no effect without a baseline's features",
        ),
        ("ensemble_size = 3", "ensemble_size of recipe mine has no effect without head stat"),
        ("augment_channel = true", "has no effect without augmented_speakers"),
        (
            "frozen = true\nprecision = 'bfloat16'",
            "precision of recipe mine has no effect",
        ),
        (
            "protocol = 'train-on-everybody'",
            "checkpoint of recipe mine must be last or",
        ),
        (
            "protocol = 'train-on-everybody'\nmethod = 'mfcc-rf'",
            "method of recipe mine must be network with protocol train-on-everybody",
        ),
        (
            "perceived = 0.5",
            "perceived of recipe mine has no effect without a corpus that",
        ),
        (
            "method = 'mfcc-rf'\ntrunk = 'whisper'",
            "trunk of recipe mine has no effect without method network",
        ),
        ("folds = 5", "folds of recipe mine has no effect without protocol speaker-folds"),
        (
            "method = 'mfcc-rf'\nepochs = 10",
            "epochs of recipe mine has no effect without",
        ),
        ("epochs = ", "must be TOML"),
        ("[training]\nepochs = 3", "'training'"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(RecipeError) as error:
        read_recipe(write(tmp_path, text))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_recipe_starts_from_its_base(tmp_path: Path) -> None:
    (tmp_path / "first.toml").write_text("hop = 15600\nepochs = 9\n")
    (tmp_path / "second.toml").write_text('base = "first"\nepochs = 3\n')
    recipe = read_recipe(tmp_path / "second.toml")
    assert (recipe.name, recipe.hop, recipe.epochs) == ("second", 15_600, 3)
    assert recipe.digest == read_recipe(write(tmp_path, "hop = 15600\nepochs = 3")).digest
    (tmp_path / "third.toml").write_text('base = "second"\n')
    with pytest.raises(RecipeError, match="must be a recipe without a base"):
        read_recipe(tmp_path / "third.toml")


def test_a_recipe_starts_from_a_shipped_one(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, 'base = "affekt"\ncorpus = "cremad"'))
    assert (recipe.trunk, recipe.corpus) == ("whisper", "cremad")
    with pytest.raises(RecipeError, match="name of a shipped one, such as ingredients"):
        read_recipe(write(tmp_path, 'base = "ingredient"'))


@pytest.mark.parametrize("base", ['"../first"', "3", '"a/b"'])
def test_a_base_is_a_name(tmp_path: Path, base: str) -> None:
    with pytest.raises(RecipeError, match="must be the name of a recipe, without folder"):
        read_recipe(write(tmp_path, f"base = {base}"))


def test_knobs_are_changed_as_in_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, "epochs = 3")
    recipe = read_recipe(path, ["epochs=4", "tail=pad", 'head = "mean"', "seed=1"])
    assert (recipe.epochs, recipe.last_window, recipe.head) == (4, "pad", "mean")
    assert recipe.name == "mine-epochs=4-head=mean-last_window=pad"
    assert command_of(recipe.name, recipe.seed) == (
        "affekt run mine.toml --set epochs=4 --set head=mean --set last_window=pad --seed 1"
    )
    assert read_recipe(path, ['held_out=["ravdess:21"]', "protocol=held-out"]).name == (
        "mine-protocol=held-out"
    )
    for change, words in (
        ("epochs", "must be set as name=value"),
        ("epoch=3", "Did you mean epochs"),
        (f"epochs={'9' * 5_000}", "epochs of recipe mine must be int"),
        ("frozen=True", "frozen of recipe mine-frozen=true must be true or false. Got 'True'"),
    ):
        with pytest.raises(RecipeError, match=words):
            read_recipe(path, [change])
    with pytest.raises(RecipeError, match="Leave it out, or set it to its default, "):
        read_recipe("ravdess-yamnet-lstm", ["frozen=true"])  # its precision cannot be left out
    assert read_recipe("ravdess-yamnet-lstm", ["frozen=true", "precision=float32"]).frozen


def test_the_commands_of_a_report_can_be_run_beside_it(tmp_path: Path) -> None:
    """A recipe that is not shipped is written there, without what its variants change."""
    small: dict[str, Any] = {"speakers": 3, "epochs": 0, "note": "ä"}
    for name, hop in (("mine-hop=15600", 15_600), ("mine-hop=100", 100)):
        make_run(tmp_path, name, hop=hop, **small)
    make_run(tmp_path, "ravdess-mfcc-svm", method="mfcc-svm", **small)
    results = collect(map(read_run, find_runs([tmp_path])))
    text = build_report(results, tmp_path / "report").read_text(encoding="utf-8")
    assert "<code>affekt run mine.toml --set hop=15600</code>" in text
    assert "<code>affekt run ravdess-mfcc-svm</code>" in text
    (path,) = (tmp_path / "report").glob("*.toml")
    knobs = tomllib.loads(path.read_text(encoding="utf-8"))
    assert (knobs["note"], knobs["held_out"]) == ("ä", [])
    assert not {"name", "seed", "hop"} & knobs.keys()
    write(tmp_path, path.read_text(encoding="utf-8").replace('note = "ä"\n', ""))
    assert read_recipe(tmp_path / "mine.toml", ["hop=100"]).name == "mine-hop=100"


def test_unreadable_recipe_files(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="must be a recipe file"):
        read_recipe(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="must be TOML"):
        read_recipe(tmp_path / "bytes.toml")
    with pytest.raises(RecipeError, match=r"'epoch'\. Did you mean epochs\?"):
        Recipe("mine").with_(epoch=3)


def test_the_command_recipe_shows_every_knob(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert main(["recipe"]) == 0
    shown = capsys.readouterr().out
    rows = knob_table()
    assert {name for name, *_ in rows} == {*Recipe("any").values()} - {"name"}
    for name, default, _, meaning, _ in rows:
        assert re.search(rf"^ *{name} .*{re.escape(default)}.*{re.escape(meaning)}", shown, re.M)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["recipe", "affekt"]) == 0
    assert "…" not in capsys.readouterr().out
