"""The wood expert brings all three sheets inside."""

from __future__ import annotations

import pytest

from hearth.benchmark import load_benchmark
from hearth.simulation.household.demonstrate import demonstrate


@pytest.mark.parametrize("instance", [1, 2])
def test_brings_all_sheets_inside(instance: int) -> None:
    benchmark = load_benchmark("household")
    demonstration = demonstrate("bringing_in_wood", benchmark, instance, 1000 + instance, 0, 0.04)
    assert demonstration.success
    assert demonstration.length < 900
    # One pair of stages a sheet, in order, and none of them skipped.
    stages = demonstration.expert_stages.tolist()
    assert sorted(set(stages)) == [0, 1, 2, 3, 4, 5]
    assert stages == sorted(stages)
