"""Every promise of the page on reliability names tests that exist."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "reliability.md"
FAULTS = ("killed", "Full disk", "worker dies", "Broken recording", "Slow client", "Power cut")


def test_the_tests_of_all_promises_exist() -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    promises = [line for line in rows if "test_" in line]
    for fault in FAULTS:
        assert any(fault in line for line in promises), f"no promise for {fault}"
    for line in promises:
        named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", line)
        assert named, line
        for file, name in named:
            tree = ast.parse((TESTS / file).read_text("utf-8"))
            defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            assert name in defined, f"{file} must define {name}"
