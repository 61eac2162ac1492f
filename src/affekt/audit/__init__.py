"""Audit a recognizer: how robust and how fair its answers are."""
