"""Predictions to numbers, tables and pictures; imports no model."""
