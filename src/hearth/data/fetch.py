"""The download of a part of the published demonstrations, by the `hf` command line tool.

hearth itself opens no connection for it: the command is printed, to be run where there is internet,
or run here. It resumes what was interrupted and skips what is there.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from hearth.benchmark import Benchmark
from hearth.core.errors import DataError, choices

TOOL = "hf"
# Before version 1 the tool took only the last of several --include.
_LEAST_VERSION = 1


def download_command(
    benchmark: Benchmark, tasks: Sequence[str], cameras: Sequence[str], folder: Path
) -> list[str]:
    """The command that brings index, tables, annotations and videos into `folder`.

    Args:
        cameras: named as in the benchmark; depth and segmentation videos are never fetched.

    Raises:
        DataError: the benchmark's demonstrations are not published, or an unknown camera.
        SettingsError: an unknown task.
    """
    source = benchmark.demonstrations
    if source is None:
        raise DataError(
            f"benchmark '{benchmark.name}' has no published demonstrations; its scripted experts "
            "make them: hearth demos"
        )
    for camera in cameras:
        if camera not in benchmark.cameras:
            raise DataError(f"unknown camera '{camera}': {choices(camera, benchmark.cameras)}")
    patterns = list(source.index)
    for task in tasks:
        index = benchmark.task(task).index
        patterns += [pattern.format(task=index) for pattern in source.task]
        for camera in cameras:
            key = benchmark.cameras[camera].dataset_key
            patterns += [pattern.format(task=index, camera=key) for pattern in source.camera]
    command = [TOOL, "download", source.repository, "--repo-type", "dataset"]
    command += ["--local-dir", str(folder)]
    for pattern in patterns:
        command += ["--include", pattern]
    return command


def download(command: Sequence[str]) -> None:
    """Run a `download_command`.

    Raises:
        DataError: the tool is missing or too old, or ends with an error.
    """
    if shutil.which(command[0]) is None:
        raise DataError(
            f"there is no '{command[0]}' here: install the package huggingface_hub "
            f"(version {_LEAST_VERSION} or later), or run the printed command elsewhere"
        )
    shown = subprocess.run([command[0], "version"], capture_output=True, text=True, check=False)
    found = re.search(r"(\d+)\.\d+", shown.stdout)
    if found is None or int(found.group(1)) < _LEAST_VERSION:
        raise DataError(
            f"'{command[0]} version' says {shown.stdout.strip() or shown.stderr.strip()!r}; needed "
            f"is version {_LEAST_VERSION} or later, which takes several --include"
        )
    ended = subprocess.run(command, check=False)
    if ended.returncode:
        raise DataError(
            f"'{command[0]} download' ended with code {ended.returncode}; run again to go on"
        )
