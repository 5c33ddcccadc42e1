from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, strategies
from jax.sharding import AbstractMesh, PartitionSpec

from hearth.core.errors import TrainingError
from hearth.training.sharding import AXIS, SMALLEST_SHARDED, array_sharding, make_mesh
from hearth.training.step import cut

pytestmark = pytest.mark.xdist_group("sharding")  # its fixture trains on eight devices

EIGHT: Any = AbstractMesh((8,), (AXIS,))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2048, 16_384), PartitionSpec(None, AXIS)),
        ((18, 16_384, 2048), PartitionSpec(None, AXIS)),
        ((1024, 1024), PartitionSpec(AXIS)),  # the first of equal axes
        ((257_153, 1024), PartitionSpec(None, AXIS)),  # the largest does not divide
        ((16, 9999), PartitionSpec(AXIS)),  # a small axis is better than none
        ((999, 9999), PartitionSpec()),  # none divides
        ((128, 128), PartitionSpec()),  # small
        ((), PartitionSpec()),
    ],
)
def test_large_arrays_are_split_along_their_largest_axis(
    shape: tuple[int, ...], expected: PartitionSpec
) -> None:
    assert array_sharding(shape, EIGHT).spec == expected


@given(strategies.lists(strategies.integers(1, 5000), max_size=3))
def test_whatever_is_split_divides_and_is_large(shape: list[int]) -> None:
    spec = array_sharding(shape, EIGHT).spec
    if AXIS in spec:
        assert shape[spec.index(AXIS)] % 8 == 0
        assert np.prod(shape) >= SMALLEST_SHARDED
    assert list(spec).count(AXIS) <= 1


def test_one_device_holds_everything_whole() -> None:
    assert array_sharding((2048, 16_384), make_mesh(1)).spec == PartitionSpec()


def test_too_many_devices_are_refused() -> None:
    available = len(jax.devices())
    with pytest.raises(TrainingError, match=f"devices = 99.*has {available}"):
        make_mesh(99)


def test_parts_of_a_batch_hold_each_sample_once() -> None:
    batch = {"state": np.arange(12).reshape(6, 2), "images": {"head": np.arange(6)}}
    parts = cut(batch, 3)
    assert parts["state"].shape == (3, 2, 2)
    np.testing.assert_array_equal(parts["images"]["head"], [[0, 3], [1, 4], [2, 5]])


def start(folder: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.unit.training.sharded_run", str(folder)],
        cwd=Path(__file__).parents[3], env={**os.environ, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def what_it_found(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, said = process.communicate()
    assert process.returncode == 0, said
    return json.loads(output.splitlines()[-1])


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What sharded_run.py saw on 8, 2 and 1 devices."""
    return what_it_found(start(tmp_path_factory.mktemp("checkpoints")))


def test_eight_devices_learn_what_one_learns(found: dict[str, Any]) -> None:
    sharded, alone = found["losses"]
    np.testing.assert_allclose(sharded, alone, rtol=1e-4)
    assert found["difference"] < 1e-3, "largest difference of any averaged weight after 3 steps"
    assert found["frozen"], "the run has frozen parameters, which lie spread as well"


def test_two_processes_of_four_devices_learn_what_one_device_learns(
    found: dict[str, Any], tmp_path: Path
) -> None:
    step = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_LAUNCH_NODE_IPADDR": "127.0.0.1"}
    pair = [start(tmp_path, SLURM_PROCID=str(number), **step) for number in range(2)]
    for process in pair:
        together = what_it_found(process)
        assert together["devices"] == 4, "of each process"
        np.testing.assert_allclose(together["losses"], found["losses"][1], rtol=1e-4)


def test_parts_of_a_batch_learn_about_the_same(found: dict[str, Any]) -> None:
    # Another draw of noise and time per part, so only about the loss of the whole batch.
    np.testing.assert_allclose(found["losses"][0], found["losses_in_one_part"], rtol=0.25)


def test_state_and_work_are_shared_out(found: dict[str, Any]) -> None:
    for quantity in ("bytes", "operations"):
        sharded, alone = found[quantity]
        assert sharded < alone / 4, quantity


def test_checkpoints_move_between_numbers_of_devices(found: dict[str, Any]) -> None:
    assert found["restored"] == {"1": True, "2": True}
