"""Test which predictions.csv are valid, and the one-line errors for others."""

import pandas as pd
import pytest

from affekt.errors import LabelError, RunError
from affekt.evaluation.metrics import tally
from affekt.runs.predictions import COLUMNS, labels_of, read_predictions

ROWS = pd.DataFrame(
    [
        ["r", 0, 1, "1.wav", "c:1", "f", "angry", "angry", 0.9, 0.1],
        ["r", 0, 1, "2.wav", "c:1", "f", "sad", "angry", 0.6, 0.4],
        ["r", 0, 2, "3.wav", "c:2", "", "sad", "sad", 0.2, 0.8],
    ],
    columns=[*COLUMNS, "p_angry", "p_sad"],
)


@pytest.fixture
def write(tmp_path):
    def written(table, name="predictions.csv"):
        table.to_csv(tmp_path / name, index=False)
        return tmp_path / name

    return written


def test_a_table_is_read_as_it_was_written(write):
    read = read_predictions(write(ROWS))
    pd.testing.assert_frame_equal(read, ROWS, check_dtype=False)
    assert labels_of(read) == ("angry", "sad")


def test_several_files_are_one_table(write):
    parts = write(ROWS[:2], "1.csv"), write(ROWS[2:], "2.csv")
    pd.testing.assert_frame_equal(read_predictions(*parts), read_predictions(write(ROWS)))


def test_counts_are_separate_for_seeds_and_speakers(write):
    again = ROWS.assign(seed=7, predicted="sad", p_angry=0.1, p_sad=0.9)
    counted = tally(read_predictions(write(pd.concat([again, ROWS]))))
    assert counted.seeds == (0, 7)
    assert counted.speakers == ("c:1", "c:2")
    assert counted.counts[0].tolist() == [[[1, 0], [1, 0]], [[0, 0], [0, 1]]]
    assert counted.counts[1].tolist() == [[[0, 1], [0, 1]], [[0, 0], [0, 1]]]


@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        ("truth", 1, "bored", "line 3: truth must be one of angry, sad. Got bored"),
        ("predicted", 0, "", "line 2: predicted must be one of angry, sad. Got "),
        ("gender", 2, "x", "line 4: gender must be f, m or empty. Got x"),
        ("gender", 1, "m", "line 3: gender must be the same for all clips of a speaker"),
        ("speaker", 2, "", "line 4: speaker must be filled in"),
        ("seed", 0, "1.5", "line 2: seed must be a whole number. Got 1.5"),
        ("fold", 0, "one", "line 2: fold must be a whole number. Got one"),
        ("fold", 1, "2", "line 3: fold must be the same for all clips of a speaker. Got 2"),
        ("file", 1, "1.wav", "line 3: file must be there once for a recipe and seed"),
        ("p_angry", 0, "", "line 2: p_angry must be a number"),
        ("p_angry", 0, "nan", "line 2: p_angry must be a number"),
        ("p_sad", 0, "-0.1", "line 2: p_sad must be in [0, 1]. Got -0.1"),
        ("predicted", 1, "sad", "line 3: predicted must be the label of the highest probability"),
        ("p_sad", 0, "0.3", "line 2: sum must be 1 over the probabilities. Got 1.2"),
    ],
)
def test_a_bad_cell_is_named_in_one_line(write, column, row, value, message):
    table = ROWS.astype(str)
    table.loc[row, column] = value
    wanted = LabelError if value in ("bored", "") and column in ("truth", "predicted") else RunError
    with pytest.raises(wanted) as caught:
        read_predictions(write(table))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "table",
    [ROWS.drop(columns="speaker"), ROWS.drop(columns=["p_angry", "p_sad"]), ROWS[:0]],
    ids=["no speaker", "no probabilities", "no rows"],
)
def test_a_table_of_another_kind_is_refused(write, table):
    with pytest.raises(RunError, match=r"must have rows, the columns recipe, seed"):
        read_predictions(write(table))


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), (b"", "must be a CSV"), (b"\xff\xfe\x00", "must be a CSV")],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, content, message):
    path = tmp_path / "predictions.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=message) as caught:
        read_predictions(path)
    assert "\n" not in str(caught.value)


def test_probabilities_may_be_rounded(write):
    rounded = ROWS.assign(predicted="sad", p_angry=0.333, p_sad=0.667)
    assert len(read_predictions(write(rounded))) == 3
