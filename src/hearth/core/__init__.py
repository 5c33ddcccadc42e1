"""Settings, results tree, errors, seeds and atomic files. Imports nothing of hearth."""
