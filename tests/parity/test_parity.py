"""hearth computes what the public implementation recorded, block by block."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.parity.blocks import BLOCKS
from tests.parity.checks import Check
from tests.parity.golden import HERE, Golden
from tests.parity.reference_network import ReferenceNetwork

# One worker for all blocks: they share the network's compilations.
pytestmark = pytest.mark.xdist_group("parity")
SET = HERE / "golden" / "a"


@pytest.fixture(scope="module")
def golden() -> Golden:
    return Golden(SET)


@pytest.fixture(scope="module")
def reference(golden: Golden) -> ReferenceNetwork:
    return ReferenceNetwork(golden)


@pytest.fixture(scope="module")
def compared(golden: Golden, reference: ReferenceNetwork) -> Callable[[str], list[Check]]:
    """The checks of a block, made once."""
    return cache(lambda name: BLOCKS[name](golden, reference))


@pytest.mark.parametrize("name", BLOCKS)
def test_block(name: str, compared: Callable[[str], list[Check]]) -> None:
    checks = compared(name)
    assert checks
    failed = [check for check in checks if not check.passed]
    assert not failed, "\n".join(map(str, failed))


def test_nothing_recorded_is_left_out(
    golden: Golden, compared: Callable[[str], list[Check]]
) -> None:
    for name in BLOCKS:
        compared(name)
    assert not golden.left_out()


def test_the_script_ends_with_one_where_a_number_is_off(tmp_path: Path) -> None:
    """A copy of the set in which one recorded action is changed."""
    copy = Path(shutil.copytree(SET, tmp_path / "a"))
    with np.load(copy / "policy.npz") as file:
        arrays = dict(file)
    arrays["corr/actions_out"][7, 0, 3] += 1e-3
    np.savez(copy / "policy.npz", allow_pickle=False, **arrays)
    command = [sys.executable, str(HERE / "compare.py"), "--block", "correction"]
    wrong = subprocess.run([*command, str(copy)], capture_output=True, text=True, check=False)
    right = subprocess.run([*command, str(SET)], capture_output=True, text=True, check=False)
    assert (wrong.returncode, right.returncode) == (1, 0), wrong.stderr + right.stderr
    assert "FAIL" in wrong.stdout and "corrected actions" in wrong.stdout
    assert "2 quantities within tolerance, 0 not" in right.stdout
