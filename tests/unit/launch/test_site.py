from __future__ import annotations

import pytest

from hearth.core.launching import JobResources
from hearth.launch.site import parse_partitions, problems

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
