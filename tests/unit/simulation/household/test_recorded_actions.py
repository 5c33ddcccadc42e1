"""What `hearth demos` puts on disk: the expert's own actions, not those that the robot executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from hearth.cli import main
from hearth.simulation.household import demonstrate as recording
from hearth.simulation.household.environment import HouseholdEnvironment
from hearth.simulation.household.experts import create
from hearth.simulation.household.robot import ACTION_SLICES

TASK = "turning_on_radio"


def test_the_clean_action_is_recorded_and_a_noisy_one_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executed: list[np.ndarray] = []
    chosen: list[np.ndarray] = []
    step = HouseholdEnvironment.step

    def spying_step(self: HouseholdEnvironment, action: np.ndarray, **options: Any) -> Any:
        executed.append(action.copy())
        return step(self, action, **options)

    def spying_create(task: str) -> Any:
        # A failed try is replaced by another one: what counts is the last.
        executed.clear(), chosen.clear()
        expert = create(task)
        act = expert.act

        def spying_act(environment: HouseholdEnvironment) -> np.ndarray:
            chosen.append(act(environment).copy())
            return chosen[-1]

        expert.act = spying_act
        return expert

    monkeypatch.setattr(HouseholdEnvironment, "step", spying_step)
    monkeypatch.setattr(recording, "create", spying_create)
    config = tmp_path / "config.yaml"
    values = {
        "experiment": "noise", "benchmark": "household", "tasks": [TASK],
        "results": str(tmp_path), "demonstrations": {"episodes_per_task": 1, "image_size": 16},
    }  # fmt: skip
    config.write_text(yaml.safe_dump(values))
    assert main(["demos", "--config", str(config), "--task", TASK, "--workers", "1"]) == 0

    (table,) = tmp_path.rglob("data/task-*/*.parquet")
    recorded = np.stack(pq.read_table(table)["action"].to_pylist()).astype(np.float32)
    assert len(recorded) == len(executed) > 50
    np.testing.assert_array_equal(recorded, np.asarray(chosen, dtype=np.float32))
    noise = np.asarray(executed, dtype=np.float32) - recorded
    for arm in ("left_arm", "right_arm"):
        assert noise[:, ACTION_SLICES[arm]].std() > 0.005, f"{arm} was not disturbed"
    for still in ("trunk", "left_gripper", "right_gripper"):
        assert not noise[:, ACTION_SLICES[still]].any()
