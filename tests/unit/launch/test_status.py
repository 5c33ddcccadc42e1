from __future__ import annotations

import io
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from hearth.benchmark import load_benchmark
from hearth.commands.status import _table
from hearth.core.files import write_json
from hearth.core.results import Results
from hearth.core.settings import Settings, validate_settings
from hearth.evaluation import identity
from hearth.launch.names import experiment_key, job_name
from hearth.launch.status import status

TASK = "turning_on_radio"
SUCCESS = {
    "q_score": {"final": 1.0}, "status": "success", "success": True, "steps": 9,
    "time": {"normalized_time": 1.0}, "normalized_agent_distance": {},
}  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("PATH", str(tmp_path))  # no queue
    values = {
        "experiment": "x", "results": str(tmp_path), "benchmark": "household",
        "demonstrations": {}, "tasks": [TASK], "runs": {"main": {"steps": 100}},
        "evaluations": {
            "trained": {"policy": "main", "instances": 3},
            "expert": {"policy": "expert", "instances": 3},
        },
    }  # fmt: skip
    return validate_settings(values, source="test")


def test_every_stage_says_how_far_it_is(settings: Settings) -> None:
    benchmark, results = load_benchmark("household"), Results.of(settings)
    (results.checkpoints("main") / "40").mkdir(parents=True)
    hashes = identity.hashes(settings, benchmark, "expert", TASK)
    first, second, _ = identity.due_episodes(settings, benchmark, "expert")
    result = {**SUCCESS, "provenance": hashes}
    write_json(results.episode("expert", TASK, *first), result)
    write_json(results.episode("expert", TASK, *second), {**result, "status": "crashed"})
    lines = status(settings, benchmark, [TASK])
    demonstrations, prepare, statistics, train, trained, expert = lines
    assert demonstrations.stage == "demonstrations"
    assert (prepare.stage, prepare.done, prepare.due) == ("prepare", 0, 1)
    assert (statistics.done, statistics.due) == (0, 2)
    assert (train.done, train.due, train.missing) == (40, 100, 60)
    assert trained.note == "waits for its policy" and trained.due == 3
    assert (expert.done, expert.due, expert.crashed, expert.missing) == (1, 3, 1, 1)
    assert (expert.running, expert.queued, expert.finish) == (0, 0, None)


def squeue(folder: Path, monkeypatch: pytest.MonkeyPatch, *jobs: str) -> None:
    """A stand-in for Slurm's command, and for nothing else."""
    lines = "\n".join(jobs)
    program = folder / "squeue"
    program.write_text(f"#!/bin/sh\n/bin/cat <<'END'\n{lines}\nEND\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def finish(settings: Settings, task: str, count: int, minutes: int) -> None:
    """Write results of `count` episodes that took so long."""
    benchmark = load_benchmark("household")
    times = {
        "start_time": "2026-01-01T10:00:00+00:00",
        "end_time": f"2026-01-01T10:{minutes:02d}:00+00:00",
    }
    hashes = identity.hashes(settings, benchmark, "expert", task)
    for key in identity.due_episodes(settings, benchmark, "expert")[:count]:
        result = {**SUCCESS, "provenance": hashes | times}
        write_json(Results.of(settings).episode("expert", task, *key), result)


def test_jobs_in_the_queue_tell_when_it_will_be_done(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, now = [TASK, "bringing_water"], datetime(2026, 1, 1, 12)
    benchmark = load_benchmark("household")
    settings = settings.model_copy(update={"tasks": tuple(tasks)})
    trainer = job_name(settings, "train", "main")
    players = [job_name(settings, "evaluate", "expert", task) for task in tasks]
    squeue(
        tmp_path, monkeypatch, f"1|RUNNING|{trainer}|None", f"2_0|RUNNING|{players[0]}|None",
        f"2_1|PENDING|{players[0]}|Resources", f"3_0|RUNNING|{players[1]}|None",
    )  # fmt: skip
    log = Results.of(settings).run("main") / "metrics.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text("".join(f'{{"step": {n}, "seconds": {n * 60}}}\n' for n in (10, 20, 30)))
    finish(settings, TASK, count=1, minutes=10)
    lines = {(line.stage, line.name): line for line in status(settings, benchmark, tasks, now)}
    assert lines["train", "main"].finish == now + timedelta(minutes=70)
    own = lines["evaluate", f"expert {TASK}"]
    assert (own.running, own.queued, own.missing) == (1, 1, 2)
    workers = settings.evaluation("expert").workers
    assert own.finish == now + timedelta(minutes=20 / min(workers, 2))
    # Nothing of it was played: its time limit at the pace of the other task.
    other = lines["evaluate", "expert bringing_water"]
    ratio = benchmark.time_limit("bringing_water") / benchmark.time_limit(TASK)
    expected = timedelta(minutes=3 * 10 * ratio / min(workers, 3))
    assert other.finish is not None and abs(other.finish - now - expected) < timedelta(seconds=1)
    whole = lines["evaluate", "expert"]
    assert (whole.done, whole.due, whole.running, whole.queued) == (1, 6, 2, 1)
    assert whole.finish is not None and whole.finish >= other.finish
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(_table(settings, benchmark, tasks))
    text = console.export_text()
    for column in ("done", "due", "crashed", "missing", "running", "queued", "expected finish"):
        assert column in text


def test_a_last_job_of_a_finished_task_while_others_wait(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, now = [TASK, "bringing_water"], datetime(2026, 1, 1, 12)
    settings = settings.model_copy(update={"tasks": tuple(tasks)})
    job = job_name(settings, "evaluate", "expert", TASK)
    squeue(tmp_path, monkeypatch, f"2_0|RUNNING|{job}|None")
    finish(settings, TASK, count=3, minutes=10)
    found = status(settings, load_benchmark("household"), tasks, now)
    lines = {(line.stage, line.name): line for line in found}
    assert lines["evaluate", "expert bringing_water"].finish is None
    whole = lines["evaluate", "expert"].finish
    assert whole is not None and whole > now


def test_a_cluster_that_does_not_answer_is_named(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squeue(tmp_path, monkeypatch)
    (tmp_path / "squeue").write_text("#!/bin/sh\necho 'no controller' >&2\nexit 1\n")
    last = status(settings, load_benchmark("household"), [TASK])[-1]
    assert last.stage == "queue" and "no controller" in last.note and last.missing == -1


def test_jobs_of_snakemakes_executor_are_counted_by_stage_and_task(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [TASK, "picking_up_trash", "bringing_water", "tidying_bedroom"]
    settings = settings.model_copy(update={"tasks": tuple(tasks)})
    recorded = (Path(__file__).parent / "golden/status.squeue").read_text()
    squeue(tmp_path, monkeypatch, recorded.replace("KEY", experiment_key(settings)))
    results, now = Results.of(settings), datetime(2026, 1, 1, 12)
    for task, minute in ((TASK, 0), ("tidying_bedroom", 10)):
        write_json(results.demonstrations(task), {})
        moment = datetime(2026, 1, 1, 11, minute).timestamp()
        os.utime(results.demonstrations(task), (moment, moment))
    lines = status(settings, load_benchmark("household"), tasks, now)
    data = {
        (line.stage, line.name): (line.done, line.due, line.running, line.queued)
        for line in lines
        if line.stage not in ("train", "evaluate")
    }
    assert data == {
        ("demonstrations", ""): (2, 4, 1, 1),
        ("demonstrations", "picking_up_trash"): (0, 1, 1, 0),
        ("demonstrations", "bringing_water"): (0, 1, 0, 1),
        ("prepare", ""): (0, 4, 1, 0),
        ("prepare", TASK): (0, 1, 1, 0),
        ("statistics", ""): (0, 5, 1, 1),
        ("statistics", "picking_up_trash"): (0, 1, 1, 0),
    }, "neither another experiment's jobs nor those that nobody marked"
    # Two are done, ten minutes apart, and one runs: the other two follow at that pace, from 11:10.
    (demonstrations, *_) = lines
    assert demonstrations.finish == now, "they are late"
    early = status(settings, load_benchmark("household"), tasks, datetime(2026, 1, 1, 11, 12))[0]
    assert early.finish == datetime(2026, 1, 1, 11, 30)
    train = next(line for line in lines if line.stage == "train")
    assert (train.running, train.queued) == (1, 0)
