"""Print results, and write them to files."""
