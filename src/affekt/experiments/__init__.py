"""Manifest and recipe to run folders: training, baselines, runner."""
