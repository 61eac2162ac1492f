"""TESS: 2 Canadian women, 7 emotions, 200 words each, 2,800 clips. English.

``OAF_emotion/OAF_word_emotion.wav``: older or younger adult (female), word, emotion. Folders
are spelled in many ways, so the file name alone counts; one lacks the F (OA_bite_neutral), and
so the speakers here are OA and YA. 24,414 Hz, one file 96 kHz.

Two speakers cannot support any claim about new speakers.

Source: Pichora-Fuller & Dupuis, "Toronto emotional speech set (TESS)", 2020,
doi:10.5683/SP2/E8H2MF; Dupuis & Pichora-Fuller, Canadian Acoustics 39(3), 2011.
"""

from affekt.corpora.spec import Corpus, Speaker, tasks

EMOTIONS = {
    "angry": "angry",
    "happy": "happy",
    "sad": "sad",
    "neutral": "neutral",
    "fear": "fearful",
    "disgust": "disgusted",
    "ps": "surprised",  # pleasant surprise
}

CORPUS = Corpus(
    name="tess",
    language="en",
    licence="CC BY-NC-ND 4.0",
    credit="Pichora-Fuller and Dupuis (2020), TESS",
    source="https://doi.org/10.5683/SP2/E8H2MF",
    licence_link="https://creativecommons.org/licenses/by-nc-nd/4.0/",
    pattern=(
        r"(?P<speaker>OA|YA)F?_(?P<text>[a-z-]+)"
        r"_(?P<code>angry|disgust|fear|happy|neutral|ps|sad)"
    ),
    tasks=tasks(EMOTIONS),
    speakers=dict.fromkeys(("OA", "YA"), Speaker("f", dict.fromkeys(EMOTIONS, 200))),
)
