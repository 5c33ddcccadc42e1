"""Make a small copy of a set of recorded numbers that still holds every compared quantity.

    python tests/parity/trim.py FULL TRIMMED

What can be derived goes: images as float32, the factor of the noise (the checkpoint has it after
shrinkage), the same parameters in other files, numbers in bfloat16, Euler steps' velocities. Of the
image tokens in the prefix one in four stays (`kept_tokens`), and of recorded proprioception what
the robot's state is read from.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hearth.benchmark import load_benchmark

_EVERY = 4
_TOKENS = {"prefix_tokens": 1, "prefix_out": 1, "kv_k": 2, "kv_v": 2, "kv_k_mixed": 2,
           "kv_v_mixed": 2}  # the axis of tokens  # fmt: skip
_DROPPED = {
    "inputs": ("image_f32/", "chol_"),
    "outputs": ("siglip/", "sq_err", "max_abs_delta_U", "correction_applied",
                "constraint_active", "t_trace", "v_trace"),
    "policy": ("pipe/pad_",),
}  # fmt: skip


def main() -> None:
    """Read both folders from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("full", type=Path)
    parser.add_argument("trimmed", type=Path)
    options = parser.parse_args()
    options.trimmed.mkdir(parents=True, exist_ok=True)
    for name in ("meta.json", "norm_stats.json", "grads_knowledge_insulation_norms.npz"):
        shutil.copyfile(options.full / name, options.trimmed / name)
    shutil.copytree(options.full / "params", options.trimmed / "params")
    for name, kind, change in (
        ("inputs", "inputs", None),
        ("outputs", "outputs", _fewer_tokens),
        ("outputs_partial_mask", "outputs", _fewer_tokens),
        ("grads", "grads", None),
        ("policy", "policy", _less_proprioception),
    ):
        _trim(options.full, options.trimmed, name, _DROPPED.get(kind, ()), change)
    for path in [options.trimmed, *options.trimmed.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def _trim(
    full: Path, trimmed: Path, name: str, dropped: tuple[str, ...], change: Callable | None
) -> None:
    with np.load(full / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files if not any(part in key for part in dropped)}
    if change is not None:
        change(arrays)
    np.savez_compressed(trimmed / f"{name}.npz", allow_pickle=False, **arrays)


def _fewer_tokens(arrays: dict[str, np.ndarray]) -> None:
    """Image tokens come first, the task token after them: where blocks first change, less one."""
    count = arrays["prefix_mask"].shape[1]
    images = int(np.argmax(arrays["prefix_ar_mask"])) - 1
    kept = np.concatenate([np.arange(0, images, _EVERY), np.arange(images, count)])
    arrays["kept_tokens"] = kept
    for name, axis in _TOKENS.items():
        if name in arrays:
            array = arrays[name]
            arrays[name] = np.take(array, kept[kept < array.shape[axis]], axis)


def _less_proprioception(arrays: dict[str, np.ndarray]) -> None:
    """Zero what the state is not read from."""
    unread = np.ones(arrays["act/proprio"].shape[1], dtype=bool)
    for part in load_benchmark("behavior-2025").robot.state:
        unread[slice(*part.proprioception)] = False
    arrays["act/proprio"][:, unread] = 0.0
    arrays["proprio"][:, unread] = 0.0


if __name__ == "__main__":
    main()
