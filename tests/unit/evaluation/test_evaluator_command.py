"""What the official evaluators are told, by year; what their processes leave behind: nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.benchmark import load_benchmark
from hearth.core.errors import SettingsError
from hearth.core.evaluator import EvaluatorSettings
from hearth.core.settings import load_settings
from hearth.evaluation.official_evaluator import facts as evaluator_facts
from hearth.evaluation.official_evaluator.process import Activity, parse_activity
from hearth.evaluation.video import is_whole
from hearth.serving.metrics import Metrics

VALUES = {
    "package": "/env/omnigibson", "task": "turning_on_radio", "output": "/out", "host": "127.0.0.1",
    "port": 8001, "rollouts": 1,
}  # fmt: skip


def words(year, split, instances, *, video=True, batch=False, **settings):
    facts = evaluator_facts.load(load_benchmark(f"behavior-{year}"))
    section = EvaluatorSettings(python=("python",), **settings)
    return " ".join(
        evaluator_facts.command_line(facts, section, split, instances, video, batch, VALUES)
    )


def test_the_command_of_2025():
    assert words(2025, "public", [1, 10]) == (
        "/env/omnigibson/learning/eval.py policy=websocket task.name=turning_on_radio "
        "log_path=/out model.host=127.0.0.1 model.port=8001 eval_instance_ids=[0,9] headless=true "
        "write_video=true"
    )
    told = words(2025, "public", [1], video=False, wrapper="a.B", arguments=("max_steps=5",))
    assert told.endswith("write_video=false env_wrapper._target_=a.B max_steps=5")


def test_the_command_of_2026():
    assert words(2026, "public", [301, 310]) == (
        "-m omnigibson.eval.eval --task-name turning_on_radio --host 127.0.0.1 --port 8001 "
        "--instance-indices 0 9 --num-rollouts 1 --output-dir /out --headless --mode public_test "
        "--write-video"
    )
    assert "--instance-indices 10 19 " in words(2026, "validation", [311, 320])
    hidden = words(2026, "hidden", [321], batch=True, robot_config="/robot.yaml", wrapper="a.B")
    assert "--instance-indices 0 " in hidden and "--mode hidden_test" in hidden
    assert hidden.endswith("--num-envs 1 --env-wrapper a.B --robot-config /robot.yaml")


@given(st.lists(st.text(alphabet="ab{}[]=", max_size=6)), st.lists(st.integers(0, 40), min_size=1))
def test_words_without_placeholders_stay_and_lists_keep_their_order(plain, numbers):
    filled = evaluator_facts.fill([*plain, "{n}", "x=[{n}]"], {"n": numbers})
    assert filled[: len(plain)] == plain
    assert filled[len(plain) : -1] == [str(number) for number in numbers]
    assert filled[-1] == f"x=[{','.join(map(str, numbers))}]"


@pytest.mark.parametrize("year", [2025, 2026])
def test_every_public_instance_of_the_shipped_configuration_has_an_index(year):
    settings = load_settings(f"config/behavior-{year}.yaml")
    benchmark = load_benchmark(settings.benchmark)
    facts = evaluator_facts.load(benchmark)
    assert settings.evaluator is not None
    evaluator_facts.check(facts, settings.evaluator, "public", 1)
    first = facts.splits["public"].first
    assert [instance - first for instance in benchmark.instances("public")] == list(range(10))


def test_the_embedded_benchmark_has_no_official_evaluator():
    benchmark = load_benchmark("household")
    assert not evaluator_facts.exist(benchmark)
    with pytest.raises(SettingsError, match=r"'household' has no official.*omnigibson-2026"):
        evaluator_facts.load(benchmark)


def test_activity_is_read_by_port():
    metrics = Metrics(lambda: 2)
    for kind, port in (("reset", 8001), ("observation", 8001), ("observation", 8002)):
        metrics.served(kind, port)
    with metrics.waiting.labels("8002").track_inprogress():
        found = parse_activity(metrics.text().decode())
    assert found == {8001: Activity(1, 1, 1, 0), 8002: Activity(0, 1, 1, 1)}
    metrics.served("reset", 8001)
    assert parse_activity(metrics.text().decode())[8001] == Activity(2, 1, 0, 0)


def test_a_film_is_whole_once_it_is_closed(tmp_path: Path):
    path = tmp_path / "film.mp4"
    container = av.open(str(path), "w")
    stream = container.add_stream("libx264", rate=30)
    stream.width = stream.height = 64
    stream.options = {"preset": "ultrafast"}
    noise = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    for frame in noise:
        container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
    assert not path.stat().st_size or not is_whole(path)
    container.mux(stream.encode(None))
    container.close()
    assert is_whole(path)
    path.write_bytes(path.read_bytes()[:-10])
    assert not is_whole(path)


def alive(mark: str) -> list[int]:
    found = psutil.process_iter(["cmdline", "status"])
    return [
        process.pid
        for process in found
        if mark in (process.info["cmdline"] or []) and process.info["status"] != "zombie"
    ]


def wait_for(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no subreaper")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_that_an_evaluator_started_outlives_hearth(tmp_path, number):
    """Neither a process that left for a session of its own, nor one that does not listen."""
    mark = f"600.{os.getpid()}{number}"
    shell = f"setsid sleep {mark} & (trap '' TERM; sleep {mark}; sleep {mark}) & sleep {mark}"
    starter = (
        "import os, subprocess, sys, time; "
        "subprocess.Popen([sys.executable, '-m', 'hearth.evaluation.guard', '--parent', "
        f"str(os.getpid()), '--grace', '0.5', '--stop', '[\"touch\", \"{tmp_path}/stopped\"]', "
        f"'--', 'sh', '-c', {shell!r}]); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-S", "-c", starter])
    wait_for(lambda: len(alive(mark)) == 3)
    parent.send_signal(number)
    parent.wait()
    wait_for(lambda: not alive(mark))
    wait_for((tmp_path / "stopped").exists)


def test_the_guard_ends_as_its_command_ended():
    guard = [sys.executable, "-m", "hearth.evaluation.guard", "--parent", str(os.getpid())]
    guard += ["--grace", "1", "--"]
    assert subprocess.run([*guard, "sh", "-c", "exit 7"], check=False).returncode == 7
    for number in (signal.SIGSEGV, signal.SIGKILL):
        ended = subprocess.run([*guard, "sh", "-c", f"kill -{number} $$"], check=False)
        assert ended.returncode == -number
    missing = subprocess.run([*guard, "/no/such"], check=False, capture_output=True, text=True)
    assert missing.returncode == 127 and "cannot start /no/such" in missing.stderr
