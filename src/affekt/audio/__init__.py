"""Sound to arrays: reading, windows, cepstra. Knows no labels and no models."""
