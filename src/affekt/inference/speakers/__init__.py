"""Separate the speakers of a recording, and recognize each."""
