"""Whether what lies under its final name can be read to the end."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import h5py
import pyarrow.parquet as pq

from hearth.evaluation.video import is_whole


def assert_whole(folder: Path) -> None:
    """Every file below `folder` but hidden ones, locks, logs and orbax's own is complete."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_dir() or path.name.startswith(".") or {"checkpoints", "logs"} & set(parts):
            continue
        if path.suffix == ".lock":
            continue
        assert path.stat().st_size or path.suffix == ".jsonl", f"{path} is empty"
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".h5":
            with h5py.File(path) as file:
                assert len(file), path
        elif path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                assert archive.testzip() is None, path
        elif path.suffix == ".mp4":
            assert is_whole(path), path
        elif path.suffix == ".parquet":
            assert pq.ParquetFile(path).metadata.num_rows > 0 or "failures" in path.name, path
        elif path.suffix in {".svg", ".html"}:
            assert path.read_text().rstrip().endswith(f"</{path.suffix[1:]}>"), path
        elif path.suffix in {".csv", ".md"}:
            assert path.read_text().endswith("\n"), path
