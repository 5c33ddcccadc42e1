"""Demonstrations on disk, prepared episodes, statistics and the training loader."""
