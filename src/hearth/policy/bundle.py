"""The policy bundle: one folder that serves anywhere, with a hash over its content."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from hearth.benchmark.benchmark import Benchmark
from hearth.core.errors import BundleError, HearthError
from hearth.core.files import atomic_path, hash_file, hash_json, read_json, write_json
from hearth.core.sections import ModelSettings, RuntimeSettings
from hearth.core.statistics import Statistics
from hearth.data.tokenizer import FastTokenizer
from hearth.model.presets import ModelConfig

FORMAT = 2  # 1: the network of version 0.1.0, whose parameters have other names
_CONTENT = ("settings.json", "benchmark.json", "statistics.h5", "parameters.npz")
_TOKENIZER = "tokenizer.json"  # where the network was trained on FAST tokens
_PROVENANCE = "provenance.json"
_MASK = "attention_mask.json"  # for the page: it follows from the settings, so no part of the hash


@dataclass(frozen=True)
class Bundle:
    """A loaded policy bundle.

    Attributes:
        path, hash: where it lies, and the hash of its content.
        config: the network's configuration.
        model: the model settings it was made with.
        image_size: pixels of the square images the network reads.
        tasks: names of the tasks it was trained on.
        benchmark, statistics: facts and numbers of the data it was trained on.
        parameters: per name an array; the moving average of the weights.
        provenance: how it was made, e.g. run, steps, losses; not part of the hash.
    """

    path: Path
    hash: str
    config: ModelConfig
    model: ModelSettings
    image_size: int
    tasks: tuple[str, ...]
    benchmark: Benchmark
    statistics: Statistics
    parameters: dict[str, np.ndarray]
    provenance: dict[str, Any]

    @property
    def runtime(self) -> RuntimeSettings:
        """The runtime section of the experiment it was made in."""
        return RuntimeSettings.model_validate(self.provenance["runtime"])

    @cached_property
    def tokenizer(self) -> FastTokenizer | None:
        """The FAST tokenizer it was trained with, if any. Acting does not need it."""
        path = self.path / _TOKENIZER
        return FastTokenizer.load(path) if path.is_file() else None

    @cached_property
    def task_indices(self) -> dict[int, str]:
        """Task index -> name of the trained tasks."""
        return {self.benchmark.task(name).index: name for name in self.tasks}


def write(
    path: Path,
    *,
    config: ModelConfig,
    model: ModelSettings,
    tasks: tuple[str, ...],
    benchmark: Benchmark,
    statistics: Statistics,
    parameters: dict[str, Any],
    provenance: dict[str, Any],
    tokenizer: FastTokenizer | None = None,
) -> str:
    """Write a bundle in place of an older one, all of it or nothing.

    Beside its content lies ``attention_mask.json``, which reports show.

    Args:
        path: the bundle's folder.
        provenance: JSON values; must hold ``runtime``. The rest: see `Bundle`.
        tokenizer: of a network that was trained on FAST tokens.

    Returns:
        The hash of the content.
    """
    settings = {
        "format": FORMAT,
        "config": config.as_dict(),
        "model": model.model_dump(mode="json"),
        "image_size": config.image_size,
        "tasks": list(tasks),
    }
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    write_json(fresh / "settings.json", settings)
    write_json(fresh / "benchmark.json", benchmark.model_dump(mode="json"))
    statistics.save(fresh / "statistics.h5")
    _write_npz(fresh / "parameters.npz", parameters)
    _write_mask(fresh / _MASK, config, tokenizer)
    names = _CONTENT
    if tokenizer is not None:
        tokenizer.save(fresh / _TOKENIZER)
        names = (*_CONTENT, _TOKENIZER)
    files = {name: hash_file(fresh / name) for name in names}
    content = _content_hash(files, statistics)
    record = {**provenance, "hash": content, "files": files, "hearth": version("hearth")}
    write_json(fresh / _PROVENANCE, record)
    _replace(fresh, path)
    return content


def load(path: Path | str, benchmark: Benchmark | None = None) -> Bundle:
    """Read a bundle and prove that it is whole.

    Args:
        path: the bundle's folder.
        benchmark: where it shall act; its robot must have the bundle's layout.

    Raises:
        BundleError: files are missing, truncated or changed, or the robot layouts differ.
    """
    path = Path(path)
    provenance = _verified_provenance(path)
    try:
        settings = read_json(path / "settings.json")
        if settings["format"] != FORMAT:
            raise BundleError(
                f"{path} has format {settings['format']}; this version reads {FORMAT}"
            )
        bundle = Bundle(
            path=path,
            hash=provenance["hash"],
            config=ModelConfig.from_dict(settings["config"]),
            model=ModelSettings.model_validate(settings["model"]),
            image_size=settings["image_size"],
            tasks=tuple(settings["tasks"]),
            benchmark=Benchmark.model_validate(read_json(path / "benchmark.json")),
            statistics=Statistics.load(path / "statistics.h5"),
            parameters=_read_npz(path / "parameters.npz"),
            provenance=provenance,
        )
    except (KeyError, TypeError, ValidationError, zipfile.BadZipFile, ValueError) as error:
        raise BundleError(f"cannot read policy bundle {path}: {error}") from error
    if benchmark is not None:
        check_robot(bundle, benchmark)
    return bundle


def check_robot(bundle: Bundle, benchmark: Benchmark) -> None:
    """Refuse a benchmark whose robot is laid out otherwise than the bundle's.

    Raises:
        BundleError: naming both robots and what differs.
    """
    own, other = bundle.benchmark.robot, benchmark.robot
    if own == other:
        return
    ours, theirs = own.model_dump(), other.model_dump()
    keys = [key for key in ours if ours[key] != theirs[key]]
    raise BundleError(
        f"policy bundle {bundle.path} was made for robot '{own.name}' of benchmark "
        f"'{bundle.benchmark.name}' ({own.proprioception_width} proprioception numbers, "
        f"{own.action_width} action dimensions); benchmark '{benchmark.name}' has robot "
        f"'{other.name}' ({other.proprioception_width}, {other.action_width}); "
        f"they differ in {', '.join(keys)}"
    )


def content_hash(path: Path | str) -> str:
    """The hash of a bundle's content without loading it; the files are read and proven whole.

    Raises:
        BundleError: files are missing, truncated or changed.
    """
    return _verified_provenance(Path(path))["hash"]


def _verified_provenance(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise BundleError(f"no policy bundle at {path}: train the run first, or check the path")
    missing = [name for name in (*_CONTENT, _PROVENANCE) if not (path / name).is_file()]
    if missing:
        raise BundleError(f"policy bundle {path} is incomplete: {', '.join(missing)} missing")
    try:
        provenance = read_json(path / _PROVENANCE)
        expected = provenance["files"]
        statistics = Statistics.load(path / "statistics.h5")
    except (HearthError, KeyError, TypeError) as error:
        raise BundleError(f"policy bundle {path} is damaged: {error}") from error
    names = (*_CONTENT, _TOKENIZER) if _TOKENIZER in expected else _CONTENT
    if not all((path / name).is_file() for name in names):
        raise BundleError(f"policy bundle {path} is incomplete: {_TOKENIZER} missing")
    files = {name: hash_file(path / name) for name in names}
    changed = [name for name in names if files[name] != expected.get(name)]
    if changed or provenance.get("hash") != _content_hash(files, statistics):
        raise BundleError(
            f"policy bundle {path} was changed or truncated after it was written "
            f"({', '.join(changed) or _PROVENANCE}); train the run again or copy it again"
        )
    return provenance


def _content_hash(files: dict[str, str], statistics: Statistics) -> str:
    """HDF5 containers differ between library versions, so statistics count by their numbers."""
    return hash_json({**files, "statistics.h5": statistics.hash})


def portable(parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Whole arrays that every reader of npz files knows: bfloat16 becomes float32."""
    fetched = {name: np.asarray(array) for name, array in parameters.items()}
    return {
        name: array.astype(np.float32) if array.dtype.name == "bfloat16" else array
        for name, array in fetched.items()
    }


def _write_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    """Straight to the file: a copy in memory of the largest network would be 14 GB."""
    content = portable({name: arrays[name] for name in sorted(arrays)})
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.savez(handle, allow_pickle=False, **content)  # pyright: ignore[reportArgumentType]


def _write_mask(path: Path, config: ModelConfig, tokenizer: FastTokenizer | None) -> None:
    from hearth.model.masks import training_mask  # imports jax, which reading a hash need not

    training_mask(config, tokenizer.maximum_tokens if tokenizer else 0).save(path)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _replace(fresh: Path, path: Path) -> None:
    """Folders cannot be exchanged in one step; the old one goes aside for an instant."""
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    fresh.rename(path)
    shutil.rmtree(old, ignore_errors=True)
