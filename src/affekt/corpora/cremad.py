"""CREMA-D: 91 actors in the USA, 6 emotions, 12 sentences, 7,442 clips; English.

``AudioWAV/AAAA_SSS_EEE_LL.wav``: actor, sentence, emotion, level (LO, MD, HI, XX unspecified). The
label is the acted emotion. Seven recordings are left out: 1076_MTI_SAD_XX is silent, and three
pairs are the same audio under two labels. A clone without git-lfs holds pointers instead of sound.

Source: Cao, Cooper, Keutmann, Gur, Nenkova & Verma, "CREMA-D: Crowd-sourced Emotional Multimodal
Actors Dataset", IEEE Transactions on Affective Computing 5(4), 2014; genders from its
VideoDemographics.csv, perceived emotions from its processedResults/summaryTable.csv.
"""

import csv
import hashlib
from pathlib import Path

from affekt.corpora.spec import Corpus, Speaker, tasks
from affekt.corpora.tables import read_text
from affekt.errors import CorpusError

EMOTIONS = {
    "ANG": "angry",
    "HAP": "happy",
    "SAD": "sad",
    "NEU": "neutral",
    "FEA": "fearful",
    "DIS": "disgusted",
}
# last two digits of the actors' numbers
FEMALE = """
    02 03 04 06 07 08 09 10 12 13 18 20 21 24 25 28 29 30 37 43 46 47 49 52 53 54 55 56 58 60 61
    63 72 73 74 75 76 78 79 82 84 89 91
"""
VOTES = "processedResults/summaryTable.csv"
VOTES_DIGEST = "fb0e382700d32c0d9adc0c6815292215a36bcf912f2657048862c91e3bd2b317"  # SHA-256


def _perceived(root: Path) -> dict[str, tuple[str, ...]]:
    """The winners of the votes on the voice alone: most of 10 listeners to each clip."""
    path = next((p for p in (root / VOTES, root.parent / VOTES) if p.is_file()), root / VOTES)
    text = read_text(path)
    digest = hashlib.sha256(text.encode()).hexdigest()
    if digest != VOTES_DIGEST:
        raise CorpusError(
            f"{path} must be the published table, SHA-256 {VOTES_DIGEST}. Got {digest}. "
            f"Copy it from the corpus again."
        )
    by_letter = {label[0].upper(): label for label in EMOTIONS.values()}
    return {
        row["FileName"]: tuple(by_letter[letter] for letter in row["VoiceVote"].split(":"))
        for row in csv.DictReader(text.splitlines())
    }


CORPUS = Corpus(
    name="cremad",
    language="en",
    licence="ODbL 1.0 (database), DbCL 1.0 (contents)",
    credit="Cao, Cooper, Keutmann, Gur, Nenkova and Verma (2014), CREMA-D",
    source="https://doi.org/10.1109/TAFFC.2014.2336244",
    licence_link="https://opendatacommons.org/licenses/odbl/1-0/, https://opendatacommons.org/licenses/dbcl/1-0/",
    pattern=(
        r"(?P<speaker>10\d\d)_(?P<text>[A-Z]{3})_(?P<code>ANG|DIS|FEA|HAP|NEU|SAD)"
        r"_(?P<intensity>LO|MD|HI|XX)"
    ),
    tasks=tasks(EMOTIONS),
    speakers={
        f"10{number:02}": Speaker("f" if f"{number:02}" in FEMALE.split() else "m")
        for number in range(1, 92)
    },
    totals={"ANG": 1270, "HAP": 1270, "SAD": 1269, "NEU": 1086, "FEA": 1270, "DIS": 1270},
    unusable=frozenset(
        {
            "1076_MTI_SAD_XX",
            *("1006_TIE_HAP_XX", "1006_TIE_NEU_XX"),
            *("1013_WSI_DIS_XX", "1013_WSI_SAD_XX"),
            *("1017_IWW_ANG_XX", "1017_IWW_FEA_XX"),
        }
    ),
    perceived=_perceived,
)
