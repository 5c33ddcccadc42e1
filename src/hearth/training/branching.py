"""Branching off a run that still trains: the weights in one of its checkpoints (report, 9.2.3)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from hearth.core.errors import WeightsError

# The parts of `TrainState` that make the policy; the moments stay on disk.
_ACTING = ("frozen", "average")


def newest_of(path: Path) -> Path:
    """The folder to read weights from.

    Args:
        path: a run's folder (its policy, or before it is finished its newest checkpoint), its
            folder of checkpoints (the newest), or what holds weights itself.
    """
    if (path / "policy" / "provenance.json").is_file():
        return path / "policy"
    for folder in (path / "checkpoints", path):
        steps = [item for item in folder.glob("*") if _is_checkpoint(item)]
        if steps:
            return max(steps, key=lambda item: int(item.name))
    return path


def read_acting(folder: Path) -> tuple[dict[str, np.ndarray], str] | None:
    """The averaged and the frozen weights in a training checkpoint, and a hash of them.

    Returns:
        None where `folder` is no training checkpoint.

    Raises:
        WeightsError: it is damaged.
    """
    if not _is_checkpoint(folder):
        return None
    state = epath.Path((folder / "state").absolute())
    handler = ocp.PyTreeCheckpointHandler()
    try:
        saved: Any = handler.metadata(state).tree
        wanted = {part: _as_mapping(saved[part]) for part in _ACTING}
        arguments = ocp.args.PyTreeRestore(
            item=wanted,
            restore_args={
                part: dict.fromkeys(names, ocp.RestoreArgs(restore_type=np.ndarray))
                for part, names in wanted.items()
            },
            partial_restore=True,
        )
        content: Any = handler.restore(state, args=arguments)
    except Exception as error:  # orbax and tensorstore raise many kinds for a damaged folder
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"cannot read training checkpoint {folder}: {reason}") from error
    found = {name: array for part in _ACTING for name, array in (content[part] or {}).items()}
    return found, _hash(found)


def _is_checkpoint(folder: Path) -> bool:
    return folder.name.isdigit() and (folder / "state" / "_METADATA").is_file()


def _as_mapping(part: Any) -> dict[str, Any]:
    """A part without arrays (nothing is frozen) is no mapping on disk."""
    return dict(part) if isinstance(part, Mapping) else {}


def _hash(arrays: Mapping[str, np.ndarray]) -> str:
    """16 hexadecimal digits over names and numbers."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}\n".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()[:16]
