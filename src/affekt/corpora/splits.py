"""Divide speakers into folds of training, validation and test speakers.

No speaker is in two parts of a fold. ``seed`` is any whole number; ``validation`` is the share of
the speakers outside of the test part that validate, in (0, 1). Too few speakers or corpora, names
that a manifest lacks, and shares out of range raise a CorpusError.

The split is greedy: speakers with the rarest classes come first, and each goes to the part that
lacks its classes and gender most. Ties are broken by SHA-256 of seed and name, in whole numbers, so
a seed gives the same folds on every machine.

Source: paper, section III-A (leave one subject out for RAVDESS, 10 folds for DEMoS; of the other
subjects 80 % train and 20 % validate). The greedy order follows Sechidis, Tsoumakas & Vlahavas, "On
the stratification of multi-label data" (2011), with speakers in place of examples.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from hashlib import sha256
from math import lcm

from affekt.corpora.folds import Fold
from affekt.corpora.joined import corpus_of
from affekt.corpora.manifest import Manifest
from affekt.errors import CorpusError

VALIDATION = 0.2  # share of the speakers left after the test part


def leave_one_speaker_out(
    manifest: Manifest, *, seed: int, validation: float = VALIDATION
) -> tuple[Fold, ...]:
    """Make one fold per speaker, sorted by name, with this speaker as the test part."""
    return _folds(manifest, [(s,) for s in manifest.speakers], seed, validation)


def speaker_folds(
    manifest: Manifest, *, folds: int, seed: int, validation: float = VALIDATION
) -> tuple[Fold, ...]:
    """Divide the speakers into ``folds`` test parts of nearly equal size, 2 or more."""
    speakers = manifest.speakers
    if not 2 <= folds <= len(speakers):
        raise CorpusError(
            f"folds of {manifest.corpus} must be in [2, {len(speakers)}], its number of speakers. "
            f"Got {folds}. Use fewer folds, or leave-one-speaker-out."
        )
    smaller, larger = divmod(len(speakers), folds)
    sizes = [smaller + (number < larger) for number in range(folds)]
    tests = _deal(speakers, _profiles(manifest), sizes, salt=f"{seed}:test")
    return _folds(manifest, tests, seed, validation)


def hold_out(
    manifest: Manifest, test: Sequence[str], *, seed: int, validation: float = VALIDATION
) -> tuple[Fold, ...]:
    """Make one fold with the given test speakers, such as ``ravdess:21``."""
    unknown = sorted(set(test) - set(manifest.speakers))
    if unknown:
        raise CorpusError(
            f"test speakers of {manifest.corpus} must be among its own, such as "
            f"{manifest.speakers[0]}. Got {', '.join(unknown)}. Correct the names."
        )
    return _folds(manifest, [tuple(sorted(set(test)))], seed, validation)


def leave_one_corpus_out(
    manifest: Manifest, *, seed: int, validation: float = VALIDATION
) -> tuple[Fold, ...]:
    """Make one fold per corpus of a joined table, with its speakers as the test part."""
    tests = _by_corpus(manifest)
    return _folds(manifest, list(tests.values()), seed, validation)


def train_on_one_corpus(
    manifest: Manifest, corpus: str, *, seed: int, validation: float = VALIDATION
) -> tuple[Fold, ...]:
    """Make one fold that trains on one corpus of a joined table and tests on all others."""
    speakers = _by_corpus(manifest)
    if corpus not in speakers:
        raise CorpusError(
            f"the corpus to train on must be one of {', '.join(speakers)}. Got {corpus!r}. "
            f"Name one of them."
        )
    test = [speaker for name, part in speakers.items() if name != corpus for speaker in part]
    return _folds(manifest, [tuple(sorted(test))], seed, validation)


def train_on_everybody(manifest: Manifest) -> tuple[Fold, ...]:
    """Make one fold in which all speakers train, without validation and test."""
    return (Fold(1, manifest.speakers, (), ()),)


def _by_corpus(manifest: Manifest) -> dict[str, tuple[str, ...]]:
    names = sorted({corpus_of(speaker) for speaker in manifest.speakers})
    if len(names) < 2:
        raise CorpusError(
            f"{manifest.corpus} must be several corpora joined by +. Got one. Name them all."
        )
    return {
        name: tuple(speaker for speaker in manifest.speakers if corpus_of(speaker) == name)
        for name in names
    }


def _folds(
    manifest: Manifest, tests: Sequence[tuple[str, ...]], seed: int, validation: float
) -> tuple[Fold, ...]:
    if not 0 < validation < 1:
        raise CorpusError(
            f"validation must be a share in (0, 1) of the speakers. Got {validation}. Use 0.2."
        )
    profiles = _profiles(manifest)
    folds = []
    for number, test in enumerate(tests, start=1):
        rest = [speaker for speaker in manifest.speakers if speaker not in test]
        if len(rest) < 2:
            raise CorpusError(
                f"{manifest.corpus} must have two speakers beside each test part, to train and to "
                f"validate. Got {len(rest)} beside part {number}. Use more folds or more speakers."
            )
        size = min(max(round(len(rest) * Fraction(str(validation))), 1), len(rest) - 1)
        part, train = _deal(rest, profiles, [size, len(rest) - size], salt=f"{seed}:{test}")
        folds.append(Fold(number, train, part, test))
    return tuple(folds)


def _profiles(manifest: Manifest) -> dict[str, Counter[str]]:
    """Count the quantities to balance: each speaker's clips per class, and 1 for the gender."""
    profiles: dict[str, Counter[str]] = defaultdict(Counter)
    for clip in manifest.clips:
        profiles[clip.speaker][f"label {clip.label}"] += 1
        profiles[clip.speaker][f"gender {clip.gender}"] = 1
    return profiles


def _deal(
    speakers: Sequence[str],
    profiles: Mapping[str, Counter[str]],
    sizes: Sequence[int],
    *,
    salt: str,
) -> list[tuple[str, ...]]:
    """Divide speakers into parts of the given sizes with balanced counts.

    The trait of the fewest remaining speakers is assigned first, beginning with the speaker who has
    most of it. The part with the largest relative deficit of the trait gets the speaker.
    """
    order = {speaker: sha256(f"{salt}:{speaker}".encode()).hexdigest() for speaker in speakers}
    wanted = sum((profiles[speaker] for speaker in speakers), Counter[str]())
    # missing counts of each part and trait, times the number of speakers: exact integers
    lack = [{trait: wanted[trait] * size for trait in wanted} for size in sizes]
    per_place = [lcm(*sizes) // size for size in sizes]
    per_clip = {trait: lcm(*wanted.values()) // wanted[trait] for trait in wanted}
    having = Counter(trait for speaker in speakers for trait in profiles[speaker])
    parts: list[list[str]] = [[] for _ in sizes]
    left = set(speakers)
    while left:
        rarest = min(+having, key=lambda trait: (having[trait], trait))
        speaker = min(
            (speaker for speaker in left if rarest in profiles[speaker]),
            key=lambda speaker: (-profiles[speaker][rarest], order[speaker]),
        )
        taker = max(
            (number for number, size in enumerate(sizes) if len(parts[number]) < size),
            key=lambda number: (
                lack[number][rarest] * per_place[number],
                sum(lack[number][trait] * per_clip[trait] for trait in profiles[speaker]),
                -number,
            ),
        )
        left.remove(speaker)
        parts[taker].append(speaker)
        having.subtract(profiles[speaker].keys())
        for trait, count in profiles[speaker].items():
            lack[taker][trait] -= count * len(speakers)
    return [tuple(sorted(part)) for part in parts]
