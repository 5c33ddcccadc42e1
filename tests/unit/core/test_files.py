"""Atomic files and hashes."""

from __future__ import annotations

from pathlib import Path

import pytest

from hearth.core.errors import DataError, HearthError
from hearth.core.files import atomic_path, hash_json, read_json, write_json


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
