"""Search for inputs that a reader of affekt does not answer as it should, guided by coverage.

    python tests/fuzz/fuzz.py TARGET [--seconds 600] [--runs N] [--corpus FOLDER] [INPUT...]

The search is a process of its own, because libFuzzer ends it without cleaning up. Its temporary
files are deleted here, however it ends. An input that fails is written to the working folder.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory


def main() -> int:
    """Run the search, and return its exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    words = [sys.executable, Path(__file__).with_name("search.py"), *sys.argv[1:]]
    with (
        TemporaryDirectory(prefix="affekt-fuzz-") as folder,
        subprocess.Popen(words, env=os.environ | {"TMPDIR": folder}) as search,
    ):
        try:
            return search.wait()
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the folder is being deleted
            search.kill()


if __name__ == "__main__":
    sys.exit(main())
