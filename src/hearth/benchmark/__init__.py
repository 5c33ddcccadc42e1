"""Benchmark and robot facts, loaded from the data files under config/benchmarks."""

from hearth.benchmark.benchmark import Benchmark, Camera, Robot, Task, load_benchmark
from hearth.benchmark.experiment import experiment_benchmark

__all__ = ["Benchmark", "Camera", "Robot", "Task", "experiment_benchmark", "load_benchmark"]
