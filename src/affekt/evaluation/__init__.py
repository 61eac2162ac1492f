"""Compute scores, intervals, calibration and comparisons from predictions."""
