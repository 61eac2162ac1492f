"""Draw the figures of experiments, and the page that holds them with their tables."""
