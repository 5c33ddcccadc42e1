"""Weights in and out: openpi checkpoints of Pi0.5 and of the winning BEHAVIOR system."""
