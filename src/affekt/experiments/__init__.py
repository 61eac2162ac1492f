"""Run experiments: recipes, training, baselines, folds."""
