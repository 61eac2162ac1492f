"""EMOVO: 6 Italian actors, 7 emotions, 14 sentences each, 588 clips.

``{f1..f3,m1..m3}/EEE-SS-TT.wav``: emotion, speaker, sentence (b short, l long, n nonsense, d
questions). 48 kHz, 16 bit. The two channels are two microphones some centimetres apart, so
their mean is a comb filter: the first is taken.

Source: Costantini, Iaderola, Paoloni & Todisco, "EMOVO Corpus: an Italian Emotional Speech
Database", LREC 2014.
"""

from itertools import product

from affekt.corpora.spec import Corpus, Speaker, tasks

EMOTIONS = {
    "rab": "angry",
    "gio": "happy",
    "tri": "sad",
    "neu": "neutral",
    "pau": "fearful",
    "dis": "disgusted",
    "sor": "surprised",
}
ACTORS = ("f1", "f2", "f3", "m1", "m2", "m3")
SENTENCES = ("b1", "b2", "b3", "l1", "l2", "l3", "l4", "n1", "n2", "n3", "n4", "n5", "d1", "d2")

CORPUS = Corpus(
    name="emovo",
    language="it",
    licence="research use",
    credit="Costantini, Iaderola, Paoloni and Todisco (2014), EMOVO",
    source="http://lrec-conf.org/proceedings/lrec2014/summaries/591.html",
    pattern=(
        r"(?P<code>dis|gio|neu|pau|rab|sor|tri)-(?P<speaker>(?P<gender>[fm])[1-3])"
        r"-(?P<text>b[1-3]|l[1-4]|n[1-5]|d[12])"
    ),
    tasks=tasks(EMOTIONS),
    speakers={
        actor: Speaker(actor[0], dict.fromkeys(EMOTIONS, len(SENTENCES))) for actor in ACTORS
    },
    names=frozenset("-".join(name) for name in product(EMOTIONS, ACTORS, SENTENCES)),
    channel=0,
)
