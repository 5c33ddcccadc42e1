"""Benchmark and robot facts, loaded from the data files under config/benchmarks."""

from hearth.benchmark.benchmark import Benchmark, Camera, Robot, Task, load_benchmark

__all__ = ["Benchmark", "Camera", "Robot", "Task", "load_benchmark"]
