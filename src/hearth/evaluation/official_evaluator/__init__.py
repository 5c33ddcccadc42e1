"""The official evaluators of the challenges, run as external processes (docs/omnigibson.md)."""
