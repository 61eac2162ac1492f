"""Implement the commands of the command line, one module each, and print their results."""
