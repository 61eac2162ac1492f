"""Collect a recognizer's answers on clean and on distorted clips."""

import math
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from affekt.audit.distortions import Distortion, distortions
from affekt.audit.recognizers import Answer, Recognizer
from affekt.corpora import CORPORA, Clip, Manifest
from affekt.corpora.joined import corpus_of, join
from affekt.corpora.recordings import read_samples
from affekt.errors import CorpusError, ModelError

CLEAN = Distortion("none", math.nan, "", lambda sound, _, __: sound)  # the undistorted clip
TALKERS = 6  # of the babble


class Chosen(NamedTuple):
    """A clip that was drawn for the audit."""

    manifest: Manifest
    name: str  #: of the clip in the manifest
    clip: Clip

    def read(self) -> NDArray[np.float32]:
        """Read its sound: ``(samples,)`` at 16 kHz."""
        return read_samples(self.manifest, self.clip)


def choose(manifests: Sequence[Manifest], clips: int, seed: int) -> list[Chosen]:
    """Draw at most ``clips`` clips of each manifest, evenly over labels and speakers.

    Raises:
        CorpusError: a corpus twice, corpora with different labels, or a label without clips.
    """
    labels = join(manifests, Path()).labels  # which refuses a corpus twice, and other labels
    chosen = [clip for each in manifests for clip in _drawn(each, clips, seed)]
    if lacking := set(labels) - {each.clip.label for each in chosen}:
        raise CorpusError(
            f"an audit needs clips of every label. Got none of {', '.join(sorted(lacking))}. "
            f"Use more --clips or another corpus."
        )
    return chosen


def _drawn(manifest: Manifest, clips: int, seed: int) -> list[Chosen]:
    """Take the first clip of each speaker and label, then the second of each, and so on."""
    facts = [(clip.speaker, clip.label) for clip in manifest.clips]
    table = pd.DataFrame(facts, columns=["speaker", "label"]).rename_axis("at")
    table = table.iloc[np.random.default_rng(seed).permutation(len(table))]
    table["turn"] = table.groupby(["speaker", "label"]).cumcount()
    table["rank"] = table.groupby(["label", "turn"]).cumcount()  # labels alternate within a turn
    drawn = sorted(table.sort_values(["turn", "rank", "at"]).index[:clips])
    return [Chosen(manifest, manifest.names[at], manifest.clips[at]) for at in drawn]


def rows(
    recognizer: Recognizer, chosen: Sequence[Chosen], seed: int
) -> Iterator[list[dict[str, object]]]:
    """Answer clips, clean and with every distortion.

    Yields:
        For every ``recognizer.clips`` clips a list of rows with ``test``, ``strength``, ``unit``,
        ``tiny``, ``corpus``, ``clip``, ``language``, ``speaker``, ``gender``, ``truth``,
        ``predicted``, ``seed``, and ``p_<label>`` of each label.

    Raises:
        AudioError: a clip that cannot be read.
        ModelError: a recognizer that fails, or that does not know all labels of the corpus.
    """
    for first in range(0, len(chosen), recognizer.clips):
        tests = [
            (_facts(test, each), sound)
            for each in chosen[first : first + recognizer.clips]
            for test, sound in _distorted(each, chosen, seed)
        ]
        answers = recognizer.answer([sound for _, sound in tests])
        yield [
            facts | _answered(recognizer, answer, chosen[0].manifest.labels)
            for (facts, _), answer in zip(tests, answers, strict=True)
        ]


def _distorted(
    each: Chosen, chosen: Sequence[Chosen], seed: int
) -> Iterator[tuple[Distortion, NDArray[np.float32]]]:
    sound, key = each.read(), (seed, each.manifest.corpus, each.name)
    yield CLEAN, sound
    others = [other for other in chosen if other.clip.speaker != each.clip.speaker] or [each]
    generator = _generator(*key)
    talking = [others[at].read() for at in generator.choice(len(others), TALKERS)]
    longest = max(map(len, talking))
    for test in distortions(np.sum([np.resize(other, longest) for other in talking], axis=0)):
        yield test, test.apply(sound, _generator(*key, test.test, test.strength))


def _generator(*key: object) -> np.random.Generator:
    """The same for the same clip, test and seed, whatever else is audited."""
    return np.random.default_rng(int(sha256(repr(key).encode()).hexdigest()[:16], 16))


def _facts(test: Distortion, each: Chosen) -> dict[str, object]:
    clip, corpus = each.clip, corpus_of(each.clip.speaker)
    facts = {"test": test.test, "strength": float(test.strength), "unit": test.unit}
    facts |= {"tiny": bool(test.drawn), "corpus": corpus, "clip": each.name}
    facts["language"] = CORPORA[corpus].language if corpus in CORPORA else ""
    return facts | {"speaker": clip.speaker, "gender": clip.gender, "truth": clip.label}


def _answered(recognizer: Recognizer, shares: Answer, labels: Sequence[str]) -> dict[str, object]:
    if lacking := [label for label in labels if label not in shares]:
        raise ModelError(
            f"{recognizer.name} must give a probability for {', '.join(labels)}. "
            f"It gave none for {', '.join(lacking)}. Rename labels with affekt corpus --label."
        )
    best = max(labels, key=shares.__getitem__)
    total = sum(shares[label] for label in labels) or 1.0
    return {"predicted": best, "seed": 0} | {f"p_{x}": shares[x] / total for x in labels}
