"""Seeds depend on the purpose and index alone."""

from __future__ import annotations

import subprocess
import sys

from hearth.core.seeds import generator, integer


def test_purposes_and_indices_differ() -> None:
    values = {integer(0, "a"), integer(0, "b"), integer(1, "a"), integer(0, "a", 1)}
    assert len(values) == 4


def test_same_in_another_process() -> None:
    code = "from hearth.core.seeds import integer; print(integer(3, 'demonstrations', 1, 2))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(other.stdout) == integer(3, "demonstrations", 1, 2)


def test_generator_is_reproducible() -> None:
    first = generator(5, "noise", 2).standard_normal(8)
    assert (first == generator(5, "noise", 2).standard_normal(8)).all()
