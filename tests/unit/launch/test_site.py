from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
import yaml
from snakemake_executor_plugin_slurm.partitions import read_partition_file

from hearth.cli import main
from hearth.core.launching import JobResources
from hearth.launch.entries import entry_problems, section
from hearth.launch.nodes import (
    Node,
    file_system,
    file_system_problems,
    parse_nodes,
    unresolved,
)
from hearth.launch.options import RULES
from hearth.launch.site import parse_partitions, problems, trial

PROFILE = Path(__file__).resolve().parents[3] / "profiles/slurm"
SINFO = """\
cpu|1-00:00:00|64|500000|(null)
h200|2-00:00:00|96+|1000000+|gpu:h200:8(S:0-1)
h200|2-00:00:00|64|500000|gpu:h200:4
debug|30:00|8|16000|gpu:2
open|infinite|8|16000|(null)
"""


def test_sinfo_is_read() -> None:
    found = parse_partitions(SINFO)
    assert found["cpu"].minutes == 1440 and found["cpu"].gpus == {}
    assert found["h200"].gpus == {"h200": 8} and found["h200"].cpus == 96
    assert found["debug"].minutes == 30 and found["debug"].gpus == {"": 2}
    assert found["open"].minutes is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"partition": "h100"}, "train: no partition 'h100': did you mean 'h200'"),
        ({"partition": "cpu", "minutes": 2000}, "runtime 2000 min; its limit is 1440"),
        ({"partition": "debug", "minutes": 5, "cpus": 9}, "its largest node has 8"),
        ({"partition": "open", "memory_megabytes": 16001}, "mem_mb 16001"),
        ({"partition": "h200", "gpus": 9, "gpu_model": "h200"}, "gpu 9; its nodes have 8"),
        ({"partition": "h200", "gpus": 1, "gpu_model": "h100"}, "did you mean 'h200'"),
        ({"partition": "cpu", "gpus": 1}, "gpu 1; its nodes have 0"),
    ],
)
def test_what_cannot_work_is_named(values: dict, message: str) -> None:
    (problem,) = problems("train", JobResources(**values), parse_partitions(SINFO))
    assert message in problem


def test_what_fits_is_not_named() -> None:
    wanted = JobResources(partition="h200", gpus=8, gpu_model="h200", minutes=2880, cpus=96)
    assert problems("train", wanted, parse_partitions(SINFO)) == []


NODES = "n1|node1.site|10.0.0.1\nn1|node1.site|10.0.0.1\nn2|node2.site|no.such.host.invalid\n"
MOUNTS = """\
overlay / overlay rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sda1 /home/me/with\\040space ext4 rw 0 0
"""


@pytest.fixture(autouse=True)
def name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Knows every name but one, and asks nobody."""

    def look_up(address: str, port: None) -> list[str]:
        if address == "no.such.host.invalid":
            raise OSError("unknown")
        return [address]

    monkeypatch.setattr("socket.getaddrinfo", look_up)


def test_nodes_are_read_once_each() -> None:
    first, second = parse_nodes(NODES)
    assert first == Node("n1", "node1.site", "10.0.0.1") and second.name == "n2"
    assert unresolved([first, second]) == ["no.such.host.invalid"]


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("/home/me/hearth", "nfs4"), ("/home/me/with space/x", "ext4"), ("/opt", "overlay")],
)
def test_the_innermost_mount_counts(folder: str, kind: str) -> None:
    assert file_system(Path(folder), MOUNTS) == kind


def test_a_checkout_that_nodes_cannot_see_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    local = f"overlay / overlay rw 0 0\ntmpfs {tmp_path.resolve()} tmpfs rw 0 0\n"
    problem, _ = file_system_problems(parse_nodes(NODES), local)
    assert "lies on tmpfs" in problem and str(tmp_path) in problem
    assert file_system_problems(parse_nodes(NODES), "server:/ / nfs4 rw 0 0\n") == []
    here = [Node("n1", f"{socket.gethostname()}.site", "127.0.0.1")]
    assert file_system_problems(here, local) == []


def test_the_check_says_what_cannot_work_and_what_to_mind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = socket.gethostname()
    sinfo = f"""case "$*" in
*-N*) echo 'n1|{here}|no.such.host.invalid';;
*) echo 'cpu|1-00:00:00|64|500000|(null)'; echo 'h200|2-00:00:00|64|500000|gpu:h200:8';;
esac
"""
    for name, text in (("sinfo", sinfo), ("sacct", "exit 0\n"), ("sbatch", "exit 0\n")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    profile = tmp_path / "config.yaml"
    profile.write_text(
        "default-resources: {slurm_partition: cpu, mem_mb: 8000}\n"
        "set-resources: {train: {slurm_partition: h200, gpu: 9, gpu_model: h200}}\n"
    )
    assert main(["cluster", "check", "--profile", str(profile)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "train: partition 'h200': gpu 9; its nodes have 8"
    assert said[1].startswith("note: names of nodes that do not resolve here: no.such.host")
    profile.write_text(profile.read_text().replace("gpu: 9", "gpu: 8"))
    assert main(["cluster", "check", "--profile", str(profile)]) == 0


@pytest.mark.parametrize(
    ("written", "minutes"), [("8h", 480), ("2d", 2880), (90, 90), ("90", "90"), ("soon", "soon")]
)
def test_runtimes_are_minutes_as_snakemake_reads_them(
    written: int | str, minutes: int | str
) -> None:
    profile = {"set-resources": {"train": {"runtime": written, "slurm_partition": "h200"}}}
    assert section(profile, "set-resources")["train"]["runtime"] == minutes


def test_the_example_of_partition_limits_is_one_and_names_no_gpus() -> None:
    found = read_partition_file(PROFILE / "partitions.yaml")
    assert {partition.name for partition in found} == {"cpu", "cpu-long"}
    for partition in found:
        assert partition.limits.max_gpu == 0 and partition.limits.max_runtime < 10_000


def test_every_rule_of_the_workflow_is_known() -> None:
    texts = [path.read_text() for path in PROFILE.parents[1].glob("workflow/rules/*.smk")]
    found = re.findall(r"^(?:rule|checkpoint) (\w+):", "\n".join(texts), re.MULTILINE)
    assert set(found) == set(RULES)


def test_the_shipped_profile_has_no_idle_entry() -> None:
    assert entry_problems(yaml.safe_load((PROFILE / "config.yaml").read_text())) == []


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("    qos_", "    slurm_partiton: rtx", "nothing reads 'slurm_partiton': did you mean"),
        ("launcher: slurm", "launcher: slrm", "launcher 'slrm' of rule evaluate: did you mean"),
        ("  evaluate:", "  evalute:", "set-resources: no rule 'evalute': did you mean 'evaluate'"),
        ("launcher_attempts: 3", "launcher_attempts: 0", "evaluate: attempts = 0: Input should be"),
        ("launcher_shards: 8", "launcher_shard: 8", "nothing reads 'launcher_shard': did you mean"),
        ("gpu: 1  #", "gres: gpu:rtx:1\n    gpu: 1  #", "evaluate: gres gpu:rtx:1 and gpus 1"),
        ("    qos_", "    slurm_extra: \"'-C hbm'\"", "evaluate: extra option '-C' of sbatch"),
    ],
)
def test_an_entry_that_nobody_reads_is_named(before: str, after: str, message: str) -> None:
    text = (PROFILE / "config.yaml").read_text()
    head, word, tail = text.rpartition("  evaluate:")
    tail = word + tail if before != "    qos_" else f"{word}\n{after}{tail}"
    profile = yaml.safe_load(head + tail.replace(before, after, 1))
    (problem,) = entry_problems(profile)
    assert message in problem


def test_what_sbatch_would_refuse_is_said_in_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded words of a real one; the cluster tests ask it."""
    sbatch = tmp_path / "sbatch"
    sbatch.write_text(
        f"#!/bin/sh\necho \"$@\" > {tmp_path}/asked\n"
        "echo 'allocation failure: Invalid feature specification' >&2\nexit 1\n"
    )  # fmt: skip
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    wanted = JobResources(
        partition="rtx", account="me", qos="long", constraint="hbm", gpus=1, extra="--exclusive"
    )
    (problem,) = trial("evaluate", wanted)
    assert problem.startswith("evaluate: sbatch ") and problem.endswith(
        ": allocation failure: Invalid feature specification"
    )
    asked = (tmp_path / "asked").read_text()
    for word in ("--test-only", "--account=me", "--qos=long", "--constraint=hbm", "--exclusive"):
        assert word in asked, word
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    (problem,) = trial("evaluate", wanted)
    assert "no command 'sbatch' on this machine" in problem
