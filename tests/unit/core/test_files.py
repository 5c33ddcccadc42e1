"""Atomic files and hashes."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hearth.core.errors import DataError, HearthError
from hearth.core.files import atomic_path, hash_json, read_json, write_json, write_private_json


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, {"a": 1})
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("killed")
    assert read_json(path) == {"a": 1}
    assert [item.name for item in tmp_path.iterdir()] == ["value.json"]


def test_full_disk_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    # /dev/full answers every write with "no space left on device".
    with (
        pytest.raises(HearthError, match=r"cannot write .*value.*[Nn]o space"),
        atomic_path(tmp_path / "value") as temporary,
    ):
        temporary.unlink()
        temporary.symlink_to("/dev/full")
        temporary.write_bytes(b"x" * 10)


def test_files_are_for_the_group_as_the_umask_says_and_keys_for_nobody(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: write_json(tmp_path / f"{number}.json", {}), range(50)))
        with atomic_path(tmp_path / "made") as temporary:
            temporary.write_text("made")
        write_private_json(tmp_path / "key", {})
    finally:
        assert os.umask(before) == 0o027  # threads must not have changed it
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir() if path.name != "key"}
    assert modes == {0o640} and stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_a_place_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HearthError, match=r"cannot write .*file/value.json"):
        write_json(tmp_path / "file" / "value.json", {})
    (tmp_path / "folder").mkdir()
    with pytest.raises(HearthError, match=r"cannot write .*folder"):
        write_json(tmp_path / "folder", {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_damaged_json_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "cut.json").write_text('{"a": ')
    with pytest.raises(DataError, match="delete it and run again"):
        read_json(tmp_path / "cut.json")
    with pytest.raises(DataError, match="does not exist"):
        read_json(tmp_path / "none.json")


def test_nan_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "nan.json", {"loss": float("nan")})


def test_hash_ignores_key_order() -> None:
    assert hash_json({"a": 1, "b": [2]}) == hash_json({"b": [2], "a": 1})
    assert hash_json({"a": 1}) != hash_json({"a": 2})
