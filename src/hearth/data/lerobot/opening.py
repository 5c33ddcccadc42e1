"""Which reader a data set folder needs."""

from __future__ import annotations

from pathlib import Path

from hearth.benchmark import Benchmark
from hearth.core.errors import DataError, choices
from hearth.core.files import read_json
from hearth.data.lerobot.dataset import Dataset
from hearth.data.lerobot.v21 import DatasetV21
from hearth.data.lerobot.v30 import DatasetV30

_READERS: dict[str, type[Dataset]] = {reader.version: reader for reader in (DatasetV21, DatasetV30)}


def open_dataset(root: Path | str, benchmark: Benchmark, task: str | None = None) -> Dataset:
    """Open a data set; where `root` holds one data set folder per task, that of `task`.

    Raises:
        DataError: there is none, or it is of another LeRobot version, rate or robot.
    """
    root = Path(root)
    if task is not None and not (root / "meta" / "info.json").is_file():
        folders = [path.parent.parent.name for path in root.glob("*/meta/info.json")]
        if folders and task not in folders:
            raise DataError(f"{root} has no data set of '{task}': {choices(task, folders)}")
        root = root / task if folders else root
    path = root / "meta" / "info.json"
    version = read_json(path).get("codebase_version")
    if version not in _READERS:
        raise DataError(
            f"{path}: codebase_version is {version!r}: {choices(str(version), _READERS)}"
        )
    return _READERS[version](root, benchmark)
