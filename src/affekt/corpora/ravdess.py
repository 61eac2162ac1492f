"""RAVDESS, the speech part: 24 North American actors, 8 emotions, 1,440 clips, English.

``Actor_NN/MM-VV-EE-II-SS-RR-AA.wav``: modality (03 audio), channel (01 speech), emotion,
intensity (01 normal, 02 strong; neutral has 01 only), statement, repetition, actor (odd male,
even female). 48 kHz, 16 bit; five clips are stereo.

Source: Livingstone & Russo, "The Ryerson Audio-Visual Database of Emotional Speech and Song
(RAVDESS)", PLoS ONE 13(5), 2018; Zenodo record 1188976.
"""

from itertools import product

from affekt.corpora.spec import Corpus, Speaker, tasks

EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgusted",
    "08": "surprised",
}
ACTORS = [f"{number:02}" for number in range(1, 25)]

CORPUS = Corpus(
    name="ravdess",
    language="en",
    licence="CC BY-NC-SA 4.0",
    credit="Livingstone and Russo (2018), RAVDESS",
    source="https://doi.org/10.1371/journal.pone.0196391",
    licence_link="https://creativecommons.org/licenses/by-nc-sa/4.0/",
    pattern=(
        r"03-01-(?P<code>0[1-8])-(?P<intensity>0[12])-(?P<text>0[12])-(?P<take>0[12])"
        r"-(?P<speaker>\d\d)"
    ),
    tasks=tasks(EMOTIONS),
    speakers={
        actor: Speaker(
            "m" if int(actor) % 2 else "f",
            {code: 4 if label == "neutral" else 8 for code, label in EMOTIONS.items()},
        )
        for actor in ACTORS
    },
    names=frozenset(
        f"03-01-{emotion}-{intensity}-{statement}-{repetition}-{actor}"
        for emotion, intensity, statement, repetition, actor in product(
            EMOTIONS, ("01", "02"), ("01", "02"), ("01", "02"), ACTORS
        )
        if (EMOTIONS[emotion], intensity) != ("neutral", "02")
    ),
)
