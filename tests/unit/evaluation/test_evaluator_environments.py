"""Evaluators behind conda, and in containers, whose processes are out of the guard's reach."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from official_setup import TASK

from hearth.core.errors import EvaluationError
from hearth.core.results import Results

CONTAINER = Path(__file__).with_name("standin_container.py")
# As ``conda run --no-capture-output -n NAME COMMAND`` does it: a shell that activates the
# environment, in a process that repeats the command after an error and ends with its exit code.
CONDA = """#!{python}
import shlex, subprocess, sys
assert sys.argv[1:5] == ["run", "--no-capture-output", "-n", "behavior"], sys.argv
words = sys.argv[5:]
script = f"PATH={folder}:$PATH\\n{{shlex.join(words)}}\\nexit $?\\n"
code = subprocess.run(["bash", "-c", script]).returncode
if code:
    print(f"ERROR `conda run {{' '.join(words)}}` failed. (See above for error)", file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def service(tmp_path):
    """The place of a service that runs containers, and its process."""
    place = str(tmp_path / "service.sock")
    command = [sys.executable, str(CONTAINER), "serve", place]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield place, psutil.Process(process.pid)
        for left in psutil.Process(process.pid).children(recursive=True):
            left.kill()
        process.kill()


def contained(service, *python, **evaluator):
    """The evaluator's section as docs/omnigibson.md has it for Docker."""
    client = [sys.executable, str(CONTAINER)]
    return {
        "python": [*client, "run", service[0], "{name}", *(python or [sys.executable])],
        "stop": [*client, "rm", service[0], "{name}"],
        "grace_seconds": 0.5,
        **evaluator,
    }


def log_of(case, made, slot=0):
    logs = Results.of(made).evaluation("public") / "logs"
    return (logs / f"{TASK}_evaluator{slot}.log").read_text()


@pytest.fixture
def conda(case):
    """The words that start Python in an environment, by a conda that has one."""
    environment = case.folder / "environment"
    environment.mkdir()
    program, python = case.folder / "conda", environment / "python"
    program.write_text(CONDA.format(python=sys.executable, folder=environment))
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for file in (program, python):
        file.chmod(0o755)
    return [str(program), "run", "--no-capture-output", "-n", "behavior", "python"]


def test_conda_passes_on_how_its_command_ended(case, conda):
    case.fault("instance_302", "segfault")
    made = case.settings({"python": conda}, attempts=1)
    assert case.run(made) == {"due": 3, "kept": 0, "finished": 2, "crashed": 1}
    reason = "the evaluator exited with code 139, as after SIGSEGV without a result of"
    assert case.result(made, 302)["reason"].startswith(reason)
    assert any("about to segfault" in line for line in case.result(made, 302)["log"])


def test_behind_conda_a_process_that_does_not_listen_is_ended(case, conda):
    case.fault("instance_301", "deaf")
    evaluator = {"python": conda, "grace_seconds": 0.5}
    made = case.settings(evaluator, attempts=1, instances=1, step_timeout_seconds=1)
    assert case.run(made)["crashed"] == 1
    assert "no sign of life for 1 s" in case.result(made, 301)["reason"]
    assert not case.processes()


def test_what_is_wrong_with_an_environment_is_not_buried_by_what_conda_adds(case, conda):
    with pytest.raises(EvaluationError, match=r"no OmniGibson .*\nthere is no omnigibson in .*\n"):
        case.run(case.settings({"python": conda, "environment": {}}))


def test_episodes_are_played_to_their_end_in_containers(case, service):
    made = case.settings(contained(service), workers=2, video=True)
    assert case.run(made) == {"due": 3, "kept": 0, "finished": 3, "crashed": 0}
    assert not service[1].children() and "evaluator.stop" not in log_of(case, made)


def test_only_the_stop_command_ends_what_runs_in_a_container(case, service):
    case.fault("instance_302", "deaf")
    wanted = {"instances": 2, "attempts": 2, "step_timeout_seconds": 1}
    made = case.settings(contained(service), **wanted)
    assert case.run(made) == {"due": 2, "kept": 0, "finished": 1, "crashed": 1}
    assert case.instances() == [301, 302, 302], "the second container did not get the first's name"
    assert not service[1].children() and not case.processes()
    assert "in an episode; the watchdog ended it" in case.result(made, 302)["reason"]
    assert "rm" in log_of(case, made) and ": exit code 0" in log_of(case, made)
    # Without it the container goes on.
    wanted["attempts"] = 1
    case.run(case.settings(contained(service, stop=[]), **wanted))
    assert [child.pid for child in service[1].children()] == case.processes() != []


def test_a_container_that_does_not_answer_the_question_for_its_version_is_ended(case, service):
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    made = case.settings(contained(service, sys.executable, "-c", deaf), start_timeout_seconds=1)
    with pytest.raises(EvaluationError, match="it said nothing of its OmniGibson for 1 s"):
        case.run(made)
    assert not service[1].children()


def test_a_container_does_not_outlive_the_program_that_started_it(case, service):
    """As after a lack of memory: the program is killed, and what it shows is not."""
    case.fault("once_301", "wait")

    def kill_the_program() -> None:
        while not list(case.faults.glob("waiting_*")):
            time.sleep(0.02)
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if words[1:4] == [str(CONTAINER), "run", service[0]]:
                process.kill()

    killing = threading.Thread(target=kill_the_program)
    killing.start()
    made = case.settings(contained(service), instances=1)
    assert case.run(made)["finished"] == 1
    killing.join()
    assert case.result(made, 301)["provenance"]["attempts"] == 2
    assert not service[1].children() and len(case.played()) == 2
