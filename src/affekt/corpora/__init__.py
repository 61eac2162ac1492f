"""Recordings to one table, and speaker-disjoint folds of it."""
