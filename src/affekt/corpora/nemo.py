"""nEMO: 9 Polish actors, 6 emotions, 90 sentences, 4,481 clips.

``samples/SSS_emotion_NN.wav``: speaker, emotion, sentence. 24 kHz, mono. Genders are those of its
``data.tsv``.

Source: Christop, "nEMO: Dataset of Emotional Speech in Polish", LREC-COLING 2024.
"""

from affekt.corpora.spec import Corpus, Speaker, tasks

EMOTIONS = {
    "anger": "angry",
    "happiness": "happy",
    "sadness": "sad",
    "neutral": "neutral",
    "fear": "fearful",
    "surprised": "surprised",
}

CORPUS = Corpus(
    name="nemo",
    language="pl",
    licence="CC BY-NC-SA 4.0",
    credit="Christop (2024), nEMO",
    source="https://huggingface.co/datasets/amu-cai/nEMO",
    licence_link="https://creativecommons.org/licenses/by-nc-sa/4.0/",
    pattern=(
        r"(?P<speaker>[A-Z]{2}0)_(?P<code>anger|fear|happiness|neutral|sadness|surprised)"
        r"_(?P<text>\d+)"
    ),
    tasks=tasks(EMOTIONS),
    speakers={
        **dict.fromkeys(("EB0", "IC0", "KD0", "MK0"), Speaker("f")),
        **dict.fromkeys(("KS0", "MP0", "SM0", "TP0", "WR0"), Speaker("m")),
    },
    totals={
        "anger": 749,
        "happiness": 749,
        "sadness": 769,
        "neutral": 809,
        "fear": 736,
        "surprised": 669,
    },
)
