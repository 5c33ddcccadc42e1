"""Runs that start from given weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hearth.core.errors import WeightsError
from hearth.core.files import read_json
from hearth.policy import bundle as bundles
from hearth.training.imported import report_path
from hearth.training.loop import fit

from .conftest import make_job, make_settings


def test_a_run_starts_from_a_bundle(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    first = make_job(make_settings(tmp_path / "first", steps=0, seed=1))
    fit(first)
    source = first.results.bundle("main")
    run = {"steps": 0, "initial_weights": str(source)}
    second = make_job(make_settings(tmp_path / "second", **run))
    fit(second)
    assert f"starts from {source}" in capsys.readouterr().err
    before, after = bundles.load(source), bundles.load(second.results.bundle("main"))
    for name, array in before.parameters.items():
        np.testing.assert_array_equal(after.parameters[name], array, err_msg=name)
    assert after.provenance["initial_weights"]["hash"] == before.hash
    assert before.provenance["initial_weights"] is None

    (source / "parameters.npz").unlink()  # a finished run does not look at them again
    fit(second)
    assert read_json(report_path(second))["kind"] == "bundle"


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    job = make_job(make_settings(tmp_path, steps=0, initial_weights=str(tmp_path / "nothing")))
    with pytest.raises(WeightsError, match="no checkpoint at"):
        fit(job)
