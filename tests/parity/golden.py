"""A folder of recorded numbers of the public implementation, full or trimmed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hearth.benchmark import Benchmark, load_benchmark
from hearth.benchmark.benchmark import default_folder
from hearth.core.sections import RuntimeSettings
from hearth.core.statistics import Statistics
from hearth.data.norm_stats import statistics_of_norm_stats
from hearth.policy.weights.checkpoint import Tree, read_tree
from tests.parity.recorded import Recorded

HERE = Path(__file__).parent
CORRELATION = "action_correlation_cholesky"  # in the checkpoint: the factor after shrinkage


class Golden:
    """Inputs, checkpoint and outputs of one set; files are read when first asked for."""

    def __init__(self, path: Path) -> None:
        if not (path / "meta.json").is_file():
            raise SystemExit(f"{path} holds no recorded numbers: there is no meta.json")
        self.path = path
        self.meta: dict[str, Any] = json.loads((path / "meta.json").read_text())
        self._files: list[Recorded] = []

    def left_out(self) -> list[str]:
        """Recorded arrays that no comparison so far has read, without a reason for it."""
        return [name for file in self._files for name in file.left_out()]

    def _open(self, name: str) -> Recorded:
        self._files.append(Recorded(self.path / f"{name}.npz"))
        return self._files[-1]

    @cached_property
    def inputs(self) -> Mapping[str, np.ndarray]:
        return self._open("inputs")

    @cached_property
    def outputs(self) -> Mapping[str, np.ndarray]:
        return self._open("outputs")

    @cached_property
    def partial(self) -> Mapping[str, np.ndarray]:
        """The outputs where some cameras are masked."""
        return self._open("outputs_partial_mask")

    def outputs_of(self, some_cameras: bool) -> Mapping[str, np.ndarray]:
        """The outputs with all cameras, or those where some are masked."""
        return self.partial if some_cameras else self.outputs

    @cached_property
    def gradients(self) -> Mapping[str, np.ndarray]:
        return self._open("grads")

    @cached_property
    def insulated(self) -> Mapping[str, np.ndarray]:
        """Norms of gradients under knowledge insulation."""
        return self._open("grads_knowledge_insulation_norms")

    @cached_property
    def policy(self) -> Mapping[str, np.ndarray]:
        return self._open("policy")

    @cached_property
    def tree(self) -> Tree:
        """The checkpoint's parameters, as stored."""
        return read_tree(self.path / "params")

    @cached_property
    def benchmark(self) -> Benchmark:
        return load_benchmark("behavior-2025")

    @cached_property
    def norm_stats(self) -> dict[str, Any]:
        """The set's file leaves the correlation's factor out for its size: it goes back in."""
        values = json.loads((self.path / "norm_stats.json").read_text())["norm_stats"]
        values["actions"][CORRELATION] = self.correlation_factor
        return values

    @cached_property
    def correlation_factor(self) -> np.ndarray:
        """The factor before shrinkage, recorded or recovered from the checkpoint's."""
        if "chol_raw" in self.inputs:
            return self.inputs["chol_raw"]
        shrunk = self.tree[CORRELATION].astype(np.float64)
        beta = float(self.inputs["beta"])
        correlation = (shrunk @ shrunk.T - (1.0 - beta) * np.eye(len(shrunk))) / beta
        return np.linalg.cholesky(correlation)

    @cached_property
    def statistics(self) -> Statistics:
        return statistics_of_norm_stats(
            self.norm_stats,
            self.benchmark,
            self.benchmark.task_names,
            source_hash=self.meta["name"],
            source=str(self.path),
        )

    @cached_property
    def runtime(self) -> RuntimeSettings:
        """How the public policy acts."""
        file = default_folder().parent / "runtimes" / "public-code-2025.yaml"
        return RuntimeSettings.model_validate(yaml.safe_load(file.read_text())["runtime"])

    def task_name(self, index: int) -> str:
        """The task of an index."""
        return next(task.name for task in self.benchmark.tasks if task.index == index)
