"""Recognize the emotion in a voice."""

__version__ = "0.1.0"
