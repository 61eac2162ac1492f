"""Take the picture of a journal's report: 40 clips of one speaker of nEMO over four weeks.

    python benchmarks/journal_picture.py --data DATA    # docs/journal.png

DATA holds the folder nemo. Clips are drawn at random from those of the first speaker: 4 of the 20
in the baseline are sad, and 15 of the 20 after it. Needs chromium.
"""

import random
import shutil
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from affekt.corpora import load
from arguments import parser_of

START = date(2026, 9, 1)
DAYS = 28  # the baseline has half of them
SAD = (4, 15)  # of 20 recordings, in the baseline and after it
SIZE = "900,1400"  # pixels


def draw(data: Path) -> list[Path]:
    """Draw the clips in their order; those that are not sad are of the other emotions in turn."""
    manifest, chance = load("nemo", data / "nemo", partial=True), random.Random(0)
    clips = [clip for clip in manifest.clips if clip.speaker == manifest.speakers[0]]
    chance.shuffle(clips)
    files = {
        label: [manifest.root / clip.file for clip in clips if clip.label == label]
        for label in manifest.labels
    }
    others = [label for label in manifest.labels if label != "sad"]
    drawn: list[Path] = []
    for sad in SAD:
        labels = ["sad"] * sad + [others[n % len(others)] for n in range(20 - sad)]
        chance.shuffle(labels)
        drawn += [files[label].pop() for label in labels]
    return drawn


def affekt(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "affekt", *map(str, words)], check=True)


def main() -> None:
    drawn = draw(parser_of(__doc__, data="nemo").parse_args().data)
    with TemporaryDirectory() as folder:
        journal, memos, page = (Path(folder, name) for name in ("a.journal", "memos", "page.html"))
        memos.mkdir()
        for number, file in enumerate(drawn):
            day = START + timedelta(days=number * DAYS // len(drawn))
            shutil.copy(file, memos / f"{day} {number:02}{file.suffix}")
        affekt("journal", "create", journal, "--person", "Anna", "--baseline", "first=20")
        affekt("journal", "add", journal, memos)
        affekt("journal", "report", journal, "-o", page)
        browser = ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars"]
        shot = [f"--screenshot={Path('docs/journal.png').resolve()}", f"--window-size={SIZE}"]
        subprocess.run([*browser, *shot, page.as_uri()], check=True)


if __name__ == "__main__":
    main()
