"""Runs from end to end on made-up batches."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hearth.core.errors import TrainingError
from hearth.core.results import Results
from hearth.core.settings import Settings
from hearth.policy import bundle as bundles
from hearth.training.loop import fit
from hearth.training.scalars import read_lines

from .conftest import TASK, batches, make_batch, make_job, make_settings

pytestmark = pytest.mark.xdist_group("training")  # its fixture is a whole training


def metrics(root: Path) -> list[dict[str, float]]:
    """The run's records without wall time."""
    lines = read_lines(root / "test" / "runs" / "main" / "metrics.jsonl")
    return [{key: line[key] for key in line if key != "seconds"} for line in lines]


def marker(root: Path) -> dict[str, Any]:
    return json.loads((root / "test" / "runs" / "main" / "finished.json").read_text())


@pytest.fixture
def finished(reference: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(reference, tmp_path / "copy"))


def interrupted(step: int, number: int) -> Any:
    """Batches whose `step`-th sends this process a signal."""

    def source(start: int) -> Iterator[dict[str, Any]]:
        for index, batch in zip(range(start, 10_000), batches(start), strict=False):
            if index == step:
                os.kill(os.getpid(), number)
            yield batch

    return source


def test_a_finished_run(reference: Path) -> None:
    record, results = marker(reference), Results.of(make_settings(reference))
    assert record["steps"] == 6 and record["seconds"] > 0
    assert record["losses"]["total"] == metrics(reference)[-1]["total"]
    loaded = bundles.load(results.bundle("main"))
    assert loaded.hash == record["bundle_hash"]
    assert loaded.tasks == (TASK,)
    assert [line["step"] for line in metrics(reference)] == [1, 2, 3, 4, 5, 6]
    events = EventAccumulator(str(results.tensorboard("main"))).Reload()
    scalars = {event.step: event.value for event in events.Scalars("total")}
    assert scalars == pytest.approx({line["step"]: line["total"] for line in metrics(reference)})


def test_asking_again_does_nothing(finished: Path) -> None:
    def refuse(start: int) -> Iterator[dict[str, Any]]:
        raise AssertionError("a finished run asked for batches")

    before = (finished / "test/runs/main/finished.json").stat().st_mtime_ns
    fit(make_job(make_settings(finished), refuse))
    assert (finished / "test/runs/main/finished.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopped_and_resumed_is_the_same_run(
    number: int, code: int, tmp_path: Path, reference: Path
) -> None:
    settings = make_settings(tmp_path, checkpoint_every=100)
    with pytest.raises(SystemExit) as stop:
        fit(make_job(settings, interrupted(3, number)))
    assert stop.value.code == code
    assert not Results.of(settings).trained("main").exists()
    assert [line["step"] for line in metrics(tmp_path)] == [1, 2, 3, 4]
    fit(make_job(settings))
    assert metrics(tmp_path) == metrics(reference)
    assert marker(tmp_path)["bundle_hash"] == marker(reference)["bundle_hash"]


_SCRIPT = """
import sys
from pathlib import Path
from tests_training.conftest import make_job, make_settings
from tests_training.test_loop import killed
from hearth.training.loop import fit
source = {"source": killed(Path(sys.argv[1]))} if sys.argv[2] == "kill" else {}
fit(make_job(make_settings(Path(sys.argv[1]), devices=int(sys.argv[3])), **source))
"""


def killed(root: Path) -> Any:
    """Batches that kill the process without warning once checkpoint 3 is complete."""

    def source(start: int) -> Iterator[dict[str, Any]]:
        for index, batch in zip(range(start, 10_000), batches(start), strict=False):
            if index == 5:
                while not (root / "test/runs/main/checkpoints/3").is_dir():
                    pass
                os.kill(os.getpid(), signal.SIGKILL)
            yield batch

    return source


def run_script(tmp_path: Path, mode: str, devices: int) -> subprocess.CompletedProcess[str]:
    link = tmp_path / "modules" / "tests_training"
    link.parent.mkdir()
    link.symlink_to(Path(__file__).parent)
    # The same compilation as here, or the losses differ in their last digits.
    flags = os.environ.get("XLA_FLAGS", "")
    flags += f" --xla_force_host_platform_device_count={devices}" if devices > 1 else ""
    return subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(tmp_path / "results"), mode, str(devices)],
        env={**os.environ, "PYTHONPATH": str(link.parent), "XLA_FLAGS": flags},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def test_killed_and_resumed_is_the_same_run(tmp_path: Path, reference: Path) -> None:
    done = run_script(tmp_path, "kill", 1)
    assert done.returncode == -signal.SIGKILL, done.stderr
    root = tmp_path / "results"
    assert not (root / "test/runs/main/finished.json").exists()
    assert (root / "test/runs/main/writer.json").exists(), "the dead writer left its lease"
    fit(make_job(make_settings(root)))
    assert metrics(root) == metrics(reference)
    assert marker(root)["bundle_hash"] == marker(reference)["bundle_hash"]


def test_two_devices_train_the_same_network(tmp_path: Path, reference: Path) -> None:
    done = run_script(tmp_path, "train", 2)
    assert done.returncode == 0, done.stderr
    for one, two in zip(metrics(reference), metrics(tmp_path / "results"), strict=True):
        assert two["total"] == pytest.approx(one["total"], rel=1e-3)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    finished: Path, reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = Results.of(make_settings(finished))
    results.trained("main").unlink()
    largest = max(
        (item for item in (results.checkpoints("main") / "6").rglob("*") if item.is_file()),
        key=lambda item: item.stat().st_size,
    )
    largest.write_bytes(b"")
    fit(make_job(make_settings(finished)))
    messages = capsys.readouterr().err
    assert "unreadable checkpoint 6" in messages and "goes on from step 3" in messages
    assert metrics(finished) == metrics(reference)
    assert marker(finished)["bundle_hash"] == marker(reference)["bundle_hash"]


def test_a_lost_bundle_is_written_again_without_training(finished: Path) -> None:
    results = Results.of(make_settings(finished))
    before = marker(finished)["bundle_hash"]
    shutil.rmtree(results.bundle("main"))
    fit(make_job(make_settings(finished), lambda start: iter(())))
    assert bundles.load(results.bundle("main")).hash == before


def test_a_protected_run_refuses_other_settings(finished: Path) -> None:
    changed = make_settings(finished, learning_rate=0.5)
    with pytest.raises(TrainingError, match=r"run.learning_rate: 0.002 -> 0.5[\s\S]*--discard"):
        fit(make_job(changed))
    assert marker(finished)["steps"] == 6
    fit(make_job(make_settings(finished, log_every=2, checkpoint_every=2)))


def test_discard_and_unprotected_runs_start_afresh(finished: Path) -> None:
    before = marker(finished)["bundle_hash"]
    fit(make_job(make_settings(finished, steps=2)), discard=True)
    assert marker(finished)["steps"] == 2
    assert [line["step"] for line in metrics(finished)] == [1, 2]
    fit(make_job(make_settings(finished, protect=False)))
    assert marker(finished)["bundle_hash"] == before


@pytest.mark.parametrize(
    ("key", "factor", "said"),
    [("state", np.nan, "total = nan,"), ("actions", 1e4, r"total = \S+ \(maximum_loss 1000\)")],
)
def test_divergence_names_step_and_batch_and_keeps_the_checkpoint(
    tmp_path: Path, key: str, factor: float, said: str
) -> None:
    def poisoned(start: int) -> Iterator[dict[str, Any]]:
        for index, batch in zip(range(start, 100), batches(start), strict=False):
            yield {**batch, key: batch[key] * np.float32(factor if index == 4 else 1.0)}

    settings = make_settings(tmp_path, log_every=100)
    wanted = rf"diverged at step 5 \(batch 4\): {said}.*last good checkpoint is 3"
    with pytest.raises(TrainingError, match=wanted):
        fit(make_job(settings, poisoned))
    results = Results.of(settings)
    assert [item.name for item in results.checkpoints("main").iterdir()] == ["3"]
    assert not results.trained("main").exists()
    assert not (results.run("main") / "writer.json").exists(), "the lease is given back"


def test_no_steps_give_the_untrained_network(tmp_path: Path, settings: Settings) -> None:
    settings = make_settings(tmp_path, steps=0)
    fit(make_job(settings))
    assert marker(tmp_path)["steps"] == 0 and marker(tmp_path)["losses"] == {}
    assert bundles.load(Results.of(settings).bundle("main")).parameters


def test_too_many_devices_are_refused(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, devices=128, batch_size=128)
    with pytest.raises(TrainingError, match=r"devices = 128, but this machine has"):
        fit(make_job(settings))


def test_batches_of_one_step_are_one_function_of_the_step() -> None:
    first, again = make_batch(3), next(batches(3))
    np.testing.assert_array_equal(first["state"], again["state"])
