"""Fuzz one target until libFuzzer ends the process; ``fuzz.py`` starts it."""

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent))
with atheris.instrument_imports(include=["affekt", "safetensors", "tomllib", "json"]):
    from targets import READY, TARGETS

MEMORY = 3_000  # MB of the process
LONGEST = 20  # s for one input
SEEDS = Path(__file__).parent / "seeds"


def main() -> None:
    """Fuzz the target that the command line names."""
    parser = argparse.ArgumentParser("fuzz.py", description="Search for inputs that fail.")
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("inputs", nargs="*", help="files to try, and nothing else")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--runs", type=int, default=-1, help="at most so many inputs")
    parser.add_argument("--corpus", help="folder that takes inputs that reach new code")
    asked = parser.parse_args()
    READY.get(asked.target, list)()  # loading a model is not to be measured
    limits = [f"-rss_limit_mb={MEMORY}", f"-timeout={LONGEST}", "-print_final_stats=1"]
    found = asked.corpus or tempfile.mkdtemp()
    folders = [found, str(SEEDS / asked.target)]
    search = [f"-max_total_time={asked.seconds}", f"-runs={asked.runs}", "-seed=1", *folders]
    atheris.Setup([sys.argv[0], *limits, *(asked.inputs or search)], TARGETS[asked.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
