"""Define the networks, load their weights, and export them (PyTorch)."""
