"""EMO-DB, the Berlin database: 10 German actors, 7 emotions, 535 clips.

``wav/SSTTTEV.wav``, as in 03a01Fa: speaker, text, first letter of the German word for the
emotion, version. 16 kHz, mono, 16 bit. Only clips that listeners recognized (80 %) and found
natural (60 %) were kept, hence the uneven counts.

Source: Burkhardt, Paeschke, Rolfes, Sendlmeier & Weiss, "A database of German emotional
speech", Interspeech 2005.
"""

from affekt.corpora.spec import Corpus, speakers, tasks

EMOTIONS = {
    "W": "angry",
    "F": "happy",
    "T": "sad",
    "N": "neutral",
    "A": "fearful",
    "E": "disgusted",
    "L": "bored",
}

CORPUS = Corpus(
    name="emodb",
    language="de",
    licence="free of charge, emodb.bilderbar.info",
    credit="Burkhardt, Paeschke, Rolfes, Sendlmeier and Weiss (2005), EMO-DB",
    source="http://emodb.bilderbar.info/",
    pattern=(
        r"(?P<speaker>\d\d)(?P<text>a0[12457]|b0[1239]|b10)(?P<code>[WLEAFTN])(?P<take>[a-f])"
    ),
    tasks=tasks(EMOTIONS),
    speakers=speakers(
        "W F T N A E L",
        """
        03m 14/7/7/11/4/1/5    08f 12/11/9/10/6/0/10  09f 13/4/4/9/1/8/4    10m 10/4/3/4/8/1/8
        11m 11/8/7/9/10/2/8    12m 12/2/4/4/6/2/5     13f 12/10/5/9/7/8/10  14f 16/8/10/7/12/8/8
        15m 13/6/4/11/8/5/9    16f 14/11/9/5/7/11/14
        """,
    ),
)
