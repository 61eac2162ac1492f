"""Follow one person over time: entries, baseline, course and report, in one SQLite file."""
