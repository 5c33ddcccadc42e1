"""The download of a part of the published demonstrations."""

from __future__ import annotations

import fnmatch
import stat
from pathlib import Path

import pytest

from hearth.benchmark import load_benchmark
from hearth.core.errors import DataError, SettingsError
from hearth.data.fetch import download, download_command

RADIO, TRASH = "turning_on_radio", "picking_up_trash"


def patterns(benchmark: str, tasks: list[str], cameras: list[str]) -> list[str]:
    command = download_command(load_benchmark(benchmark), tasks, cameras, Path("/big/demos"))
    year = benchmark[-4:]
    assert command[:3] == ["hf", "download", f"behavior-1k/{year}-challenge-demos"]
    assert command[3:7] == ["--repo-type", "dataset", "--local-dir", "/big/demos"]
    assert set(command[7::2]) == {"--include"}
    return command[8::2]


def matching(files: list[str], found: list[str]) -> list[str]:
    return [file for file in files if any(fnmatch.fnmatch(file, pattern) for pattern in found)]


def test_a_part_of_the_2025_set() -> None:
    wanted = [
        "meta/info.json",
        "meta/tasks.jsonl",
        "meta/episodes.jsonl",
        "data/task-0001/episode_00010010.parquet",
        "annotations/task-0001/episode_00010010.json",
        "videos/task-0001/observation.images.rgb.head/episode_00010010.mp4",
    ]
    others = [
        "meta/episodes_stats.jsonl",
        "data/task-0000/episode_00000010.parquet",
        "videos/task-0001/observation.images.depth.head/episode_00010010.mp4",
        "videos/task-0001/observation.images.seg_instance_id.head/episode_00010010.mp4",
        "videos/task-0001/observation.images.rgb.left_wrist/episode_00010010.mp4",
    ]
    found = patterns("behavior-2025", [TRASH], ["head"])
    assert matching(wanted + others, found) == wanted


def test_a_part_of_the_2026_set() -> None:
    wanted = [
        "meta/info.json",
        "meta/tasks.parquet",
        "meta/episodes/chunk-001/file-000.parquet",
        "data/chunk-000/file-001.parquet",
        "data/chunk-001/file-000.parquet",
        "annotations/task-0000/episode_00000010.json",
        "videos/observation.rgb.zed_link_camera_0/chunk-000/file-003.mp4",
        "videos/observation.rgb.right_realsense_link_camera_0/chunk-001/file-000.mp4",
    ]
    others = [
        "data/chunk-010/file-000.parquet",
        "videos/observation.depth_linear.zed_link_camera_0/chunk-000/file-003.mp4",
        "videos/observation.rgb.left_realsense_link_camera_0/chunk-000/file-000.mp4",
    ]
    found = patterns("behavior-2026", [RADIO, TRASH], ["head", "right_wrist"])
    assert matching(wanted + others, found) == wanted


def test_what_cannot_be_fetched_is_named() -> None:
    with pytest.raises(DataError, match=r"'household' has no published demonstrations"):
        download_command(load_benchmark("household"), [RADIO], ["head"], Path("x"))
    benchmark = load_benchmark("behavior-2026")
    with pytest.raises(DataError, match=r"unknown camera 'heads': did you mean 'head'"):
        download_command(benchmark, [RADIO], ["heads"], Path("x"))
    with pytest.raises(SettingsError, match=r"unknown task 'turning_on_radoi'"):
        download_command(benchmark, ["turning_on_radoi"], ["head"], Path("x"))


def test_the_tool_is_checked_and_its_failure_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="there is no 'hf' here: install the package"):
        download(["hf", "download", "x"])
    tool = tmp_path / "hf"
    log = tmp_path / "log"

    def write_tool(version: str, code: int) -> None:
        tool.write_text(
            f'#!/bin/sh\nif [ "$1" = version ]; then echo "huggingface_hub version: {version}"; '
            f'else echo "$@" > {log}; exit {code}; fi\n'
        )
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)

    write_tool("0.36.0", 0)
    with pytest.raises(DataError, match=r"says 'huggingface_hub version: 0.36.0'; needed is"):
        download(["hf", "download", "x"])
    assert not log.exists(), "half of the patterns would be worse than nothing"
    write_tool("1.1.7", 3)
    with pytest.raises(DataError, match=r"ended with code 3; run again"):
        download(["hf", "download", "x"])
    write_tool("1.1.7", 0)
    download(["hf", "download", "x", "--include", "a"])
    assert log.read_text() == "download x --include a\n"
