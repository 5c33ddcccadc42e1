"""Parameter trees of openpi checkpoints: an orbax folder `params` that holds {"params": ...}.

In memory a tree is a flat mapping from "/"-joined names to numpy arrays. Training by openpi leaves
a last name part `value` under every parameter (the variable's content in flax.nnx), the published
base weights do not; reading takes both, writing adds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from hearth.core.errors import WeightsError

Tree = dict[str, np.ndarray]

_ROOT = "params"
_CONTENT = "value"
_METADATA = "_METADATA"


def params_folder(path: Path | str) -> Path:
    """The orbax folder of a checkpoint: `path` itself, or `params` below it.

    Raises:
        WeightsError: neither holds one; the message says what was looked for.
    """
    path = Path(path)
    for folder in (path, path / _ROOT):
        if (folder / _METADATA).is_file():
            return folder
    if not path.is_dir():
        raise WeightsError(f"no checkpoint at {path}: there is no such folder")
    raise WeightsError(
        f"{path} is no openpi checkpoint: neither {path / _METADATA} nor "
        f"{path / _ROOT / _METADATA} exists (was the download complete?)"
    )


def read_tree(path: Path | str) -> Tree:
    """All parameters of a checkpoint, in the types they were written in.

    The devices and the sharding that wrote the checkpoint do not matter.

    Raises:
        WeightsError: there is no checkpoint, it is damaged, or its tree has another root.
    """
    folder = epath.Path(params_folder(path).absolute())
    handler = ocp.PyTreeCheckpointHandler()
    try:
        nested = handler.metadata(folder).tree
        if not isinstance(nested, Mapping) or set(nested) != {_ROOT}:
            found = ", ".join(map(str, nested)) if isinstance(nested, Mapping) else "one array"
            raise WeightsError(f"{folder} holds {found} at its root, not '{_ROOT}' alone")
        arguments = ocp.args.PyTreeRestore(
            item=nested,
            restore_args=_map(nested, lambda _: ocp.RestoreArgs(restore_type=np.ndarray)),
        )
        content = handler.restore(folder, args=arguments)
    except WeightsError:
        raise
    except Exception as error:  # orbax and tensorstore raise many kinds for a damaged folder
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"cannot read checkpoint {folder}: {reason}") from error
    return _without_content(_flatten(content[_ROOT]))


def write_tree(folder: Path | str, tree: Mapping[str, np.ndarray]) -> None:
    """Write a checkpoint's `params` folder, all of it or nothing.

    Raises:
        WeightsError: the folder exists already, or cannot be written.
    """
    folder = Path(folder).absolute()
    if folder.exists():
        raise WeightsError(f"{folder} exists already; choose another folder or remove it")
    nested: dict[str, Any] = {}
    for name, array in tree.items():
        *parents, last = [*name.split("/"), _CONTENT]
        below = nested
        for parent in parents:
            below = below.setdefault(parent, {})
        below[last] = np.asarray(array)
    try:
        with ocp.PyTreeCheckpointer() as checkpointer:
            checkpointer.save(folder, {_ROOT: nested})
    except (OSError, ValueError) as error:
        raise WeightsError(f"cannot write checkpoint {folder}: {error}") from error


def _map(tree: Mapping[str, Any], function: Any) -> dict[str, Any]:
    return {
        key: _map(value, function) if isinstance(value, Mapping) else function(value)
        for key, value in tree.items()
    }


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Tree:
    flat: Tree = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.update(_flatten(value, f"{name}/"))
        else:
            flat[name] = value
    return flat


def _without_content(tree: Tree) -> Tree:
    ending = f"/{_CONTENT}"
    if all(name.endswith(ending) for name in tree):
        return {name.removesuffix(ending): array for name, array in tree.items()}
    return tree
