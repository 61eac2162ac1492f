"""SAVEE: 4 English men, 7 emotions, 480 clips (15 of each emotion and man, 30 neutral).

``AudioData/{DC,JE,JK,KL}/ENN.wav`` as published, or ``DC_a01.wav`` in flattened copies: letters
of the emotion and sentence. 44.1 kHz.

Source: Haq & Jackson, "Multimodal Emotion Recognition", in Machine Audition, 2010; the corpus
is given out by the University of Surrey on registration.
"""

from affekt.corpora.spec import Corpus, Speaker, tasks

EMOTIONS = {
    "a": "angry",
    "h": "happy",
    "sa": "sad",
    "n": "neutral",
    "f": "fearful",
    "d": "disgusted",
    "su": "surprised",
}

CORPUS = Corpus(
    name="savee",
    language="en",
    licence="research use, on registration",
    credit="Haq and Jackson (2010), SAVEE",
    source="http://kahlan.eps.surrey.ac.uk/savee/",
    pattern=r"(?P<speaker>DC|JE|JK|KL)[/_]?(?P<code>sa|su|a|d|f|h|n)(?P<text>\d\d)",
    tasks=tasks(EMOTIONS),
    speakers=dict.fromkeys(
        ("DC", "JE", "JK", "KL"),
        Speaker("m", {code: 30 if code == "n" else 15 for code in EMOTIONS}),
    ),
)
