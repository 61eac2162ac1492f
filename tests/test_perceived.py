"""Test the perceived labels: read from the corpus' own table, and mixed with acted."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from affekt.corpora import cremad
from affekt.corpora.clips import Clip
from affekt.corpora.joined import join
from affekt.corpora.manifest import Manifest
from affekt.corpora.perceived import perceived_labels
from affekt.corpora.spec import FOUR
from affekt.errors import CorpusError
from affekt.experiments.fold import clips_of, part_of

VOTES = {"1001_A_ANG_XX": "A", "1001_A_HAP_XX": "N", "1002_A_SAD_XX": "N:S", "1002_A_NEU_XX": "F:N"}
ANGRY, HAPPY, SAD, NEUTRAL = np.eye(4)


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    text = "FileName,VoiceVote\n" + "".join(f"{name},{vote}\n" for name, vote in VOTES.items())
    (tmp_path / "cremad/processedResults").mkdir(parents=True)
    (tmp_path / "cremad" / cremad.VOTES).write_text(text)
    monkeypatch.setattr(cremad, "VOTES_DIGEST", hashlib.sha256(text.encode()).hexdigest())
    clips = tuple(
        Clip(f"AudioWAV/{name}.wav", cremad.EMOTIONS[name[7:10]], f"cremad:{name[:4]}", seconds=1.0)
        for name in (*VOTES, "1003_A_HAP_XX")
    )
    return Manifest("cremad", "four", FOUR, tmp_path / "cremad", clips)


def test_a_share_of_the_label_is_what_most_listeners_heard(corpus: Manifest) -> None:
    found = perceived_labels(corpus, np.arange(5), 0.5).shares
    other = np.full(4, 0.25)  # perceived as fearful, which is none of the four
    expected = [
        ANGRY,
        (HAPPY + NEUTRAL) / 2,
        SAD / 2 + (SAD + NEUTRAL) / 4,
        NEUTRAL / 2 + (NEUTRAL + other) / 4,
        HAPPY,  # without a vote
    ]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_log_priors_are_the_mean_shares_of_equally_frequent_acted_labels(corpus: Manifest) -> None:
    found = perceived_labels(corpus, np.arange(5), 0.5)
    happy = found.shares[[1, 4]].mean(axis=0)
    expected = (found.shares[0] + happy + found.shares[2] + found.shares[3]) / 4
    np.testing.assert_allclose(np.exp(found.log_priors), np.tile(expected, (5, 1)), atol=1e-6)


def test_a_corpus_without_votes_keeps_its_labels(corpus: Manifest) -> None:
    own = Clip("a.wav", "sad", "own:1", seconds=1.0)
    both = join([corpus, Manifest("own", "four", FOUR, corpus.root, (own,))], corpus.root.parent)
    found = perceived_labels(both, np.array([1, 5]), 1.0)
    np.testing.assert_array_equal(found.shares, [NEUTRAL, SAD])
    assert found.log_priors[0].any()
    assert not found.log_priors[1].any()


def test_only_training_clips_have_perceived_labels(corpus: Manifest) -> None:
    part = part_of(corpus, clips_of(corpus, corpus.speakers), perceived=0.5)
    assert part.perceived is not None
    np.testing.assert_array_equal(
        part.perceived.shares, perceived_labels(corpus, part.clips, 0.5).shares
    )
    assert (
        part_of(corpus, clips_of(corpus, corpus.speakers)).perceived is None
    )  # of validation and test


def test_another_table_is_refused(corpus: Manifest) -> None:
    (corpus.root / cremad.VOTES).write_text("FileName,VoiceVote\n1001_A_ANG_XX,H\n")
    with pytest.raises(CorpusError, match="must be the published table"):
        perceived_labels(corpus, np.arange(5), 0.5)
    (corpus.root / cremad.VOTES).unlink()
    with pytest.raises(CorpusError, match="summaryTable"):
        perceived_labels(corpus, np.arange(5), 0.5)
