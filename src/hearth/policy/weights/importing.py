"""Weights of openpi checkpoints, or of policy bundles, as parameters of hearth's network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from hearth.core.errors import WeightsError
from hearth.core.files import hash_directory
from hearth.model.configuration import ModelConfig
from hearth.policy import bundle
from hearth.policy.network import NetworkDefinition, Parameters
from hearth.policy.weights.checkpoint import Tree, params_folder, read_tree
from hearth.policy.weights.mapping import BUFFERS, Row, axis_sizes, rows

_LISTED = 12  # problems named in an error; the rest is counted


@dataclass(frozen=True)
class ImportReport:
    """What came from where.

    Attributes:
        source: the folder that was read.
        kind: plain Pi0.5, a checkpoint of the whole system, a policy bundle of hearth, or a
            checkpoint of a run of its training.
        loaded: our names of the parameters that were read.
        initialised: our names of those that the source lacks.
        dropped: names in the source that are no parameters.
        numbers: how many numbers were read.
        hash: of the files that were read.
    """

    source: str
    kind: Literal["pi05", "behavior", "bundle", "checkpoint"]
    loaded: tuple[str, ...]
    initialised: tuple[str, ...]
    dropped: tuple[str, ...]
    numbers: int
    hash: str

    def as_dict(self) -> dict[str, Any]:
        """JSON values, for provenance."""
        return asdict(self)

    def text(self) -> str:
        """A few lines for people."""
        what = {
            "pi05": "plain Pi0.5", "behavior": "the whole system", "bundle": "a policy bundle",
            "checkpoint": "a checkpoint of a run",
        }  # fmt: skip
        lines = [
            f"{self.source}: {what[self.kind]}; {len(self.loaded)} parameters, "
            f"{self.numbers:,} numbers read"
        ]
        if self.initialised:
            lines.append(f"keep their initialisation: {', '.join(self.initialised)}")
        if self.dropped:
            lines.append(f"not parameters, given by the statistics: {', '.join(self.dropped)}")
        return "\n".join(lines)


def import_parameters(
    path: Path | str, definition: NetworkDefinition
) -> tuple[dict[str, np.ndarray], ImportReport]:
    """Read weights for a network.

    Args:
        path: an openpi checkpoint (its folder, or `params` itself), or a policy bundle.
        definition: the network that takes them.

    Returns:
        Our parameters by name, float32; and the report, which names those that are missing
        because plain Pi0.5 lacks them.

    Raises:
        WeightsError: the source cannot be read, a parameter is missing, unexpected or of another
            shape; the message names the paths.
        BundleError: a bundle is damaged.
    """
    path = Path(path)
    if (path / "parameters.npz").is_file():
        return _from_bundle(path, definition)
    folder = params_folder(path)
    return parameters_of_tree(read_tree(folder), definition, str(folder), hash_directory(folder))


def initial_parameters(
    path: Path | str, definition: NetworkDefinition, seed: int
) -> tuple[Parameters, ImportReport]:
    """Parameters to start training from: what `path` has, and for the rest a fresh start.

    Args:
        path: see `import_parameters`.
        definition: the network.
        seed: of the initialisation; new parameters get what they would get without `path`.

    Raises:
        WeightsError, BundleError: see `import_parameters`.
    """
    return complete(*import_parameters(path, definition), definition, seed)


def complete(
    found: dict[str, np.ndarray], report: ImportReport, definition: NetworkDefinition, seed: int
) -> tuple[Parameters, ImportReport]:
    """The parameters of `found`, which is emptied, and a fresh start for the rest."""
    parameters: Parameters = {}
    for name in report.loaded:
        # One by one, so that no second copy of all weights is in memory.
        parameters[name] = jnp.asarray(found.pop(name), definition.shapes[name].dtype)
    if report.initialised:
        parameters.update(definition.initialise(seed, frozenset(report.initialised)))
    return parameters, report


def parameters_of_tree(
    tree: Tree, definition: NetworkDefinition, source: str, source_hash: str
) -> tuple[dict[str, np.ndarray], ImportReport]:
    """Our parameters of a checkpoint's tree, which is emptied; see `import_parameters`."""
    config = definition.config
    table, sizes = rows(config), axis_sizes(config)
    _refuse_other_networks(table, definition, source)
    dropped = tuple(name for name in BUFFERS if tree.pop(name, None) is not None)
    pretrained_only = not any(
        name in tree for row in table if not row.pretrained for name in row.theirs
    )
    wanted = [row for row in table if row.pretrained or not pretrained_only]
    problems = _problems(tree, wanted, config)
    if problems:
        shown = problems[:_LISTED]
        if len(problems) > _LISTED:
            shown.append(f"and {len(problems) - _LISTED} more")
        raise WeightsError(f"{source} does not fit the network:\n" + _indented(shown))
    parameters: dict[str, np.ndarray] = {}
    for row in wanted:
        arrays = [tree.pop(name).astype(np.float32, copy=False) for name in row.theirs]
        parameters.update(row.to_ours(arrays, sizes))
    report = ImportReport(
        source=source,
        kind="pi05" if pretrained_only else "behavior",
        loaded=tuple(sorted(parameters)),
        initialised=tuple(sorted(set(definition.shapes) - set(parameters))),
        dropped=dropped,
        numbers=sum(array.size for array in parameters.values()),
        hash=source_hash,
    )
    return parameters, report


def _problems(tree: Mapping[str, np.ndarray], wanted: list[Row], config: ModelConfig) -> list[str]:
    """Everything missing, unexpected or of another shape, by their names."""
    sizes = axis_sizes(config)
    expected = {name: row.their_shape(sizes) for row in wanted for name in row.theirs}
    problems = [f"{name} is missing" for name in expected if name not in tree]
    problems += [
        f"{name} has shape {tree[name].shape}, the network wants {shape}"
        for name, shape in expected.items()
        if name in tree and tree[name].shape != shape
    ]
    for name in sorted(set(tree) - set(expected)):
        setting = _switched_off(name, config)
        problems.append(f"{name} is unexpected" + (f": {setting}" if setting else ""))
    return problems


def _switched_off(name: str, config: ModelConfig) -> str | None:
    """The setting that would give a network a place for this parameter."""
    switches: tuple[tuple[str, Any, str], ...] = (
        ("stage_input", True, "model.stage_input is false"),
        ("kv_mixing", True, "model.kv_mixing is false"),
        ("fast_loss_weight", 0.05, "model.fast_loss_weight is 0"),
    )
    for key, value, reason in switches:
        if any(name in row.theirs for row in rows(replace(config, **{key: value}))):
            return reason
    return None


def _refuse_other_networks(table: list[Row], definition: NetworkDefinition, source: str) -> None:
    """A network whose parameters are not those of the table cannot take the weights."""
    known, sizes = {name for row in table for name in row.ours}, axis_sizes(definition.config)
    other = sorted(known ^ set(definition.shapes))
    other += [
        name
        for row in table
        for name in row.ours
        if name in definition.shapes
        and definition.shapes[name].shape != row.layout.right.shape(sizes)
    ]
    if other:
        raise WeightsError(
            f"{source}: a network of preset '{definition.config.preset}' with these settings has "
            "no parameters in openpi's layout; the preset 'pi05' with discretised states has. "
            f"They differ in {', '.join(other[:_LISTED])}"
        )


def _from_bundle(
    path: Path, definition: NetworkDefinition
) -> tuple[dict[str, np.ndarray], ImportReport]:
    source = bundle.load(path)
    return named_parameters(source.parameters, definition, str(path), "bundle", source.hash)


def named_parameters(
    parameters: dict[str, np.ndarray],
    definition: NetworkDefinition,
    source: str,
    kind: Literal["bundle", "checkpoint"],
    content: str,
) -> tuple[dict[str, np.ndarray], ImportReport]:
    """Parameters that have our names already, and their report.

    Args:
        parameters: by name.
        definition: the network that takes them.
        source: where they come from.
        kind: what `source` is.
        content: its hash.

    Raises:
        WeightsError: one is unexpected or of another shape.
    """
    shapes = definition.shapes
    problems = [
        f"{name} is unexpected" if name not in shapes
        else f"{name} has shape {array.shape}, the network wants {shapes[name].shape}"
        for name, array in parameters.items()
        if name not in shapes or array.shape != shapes[name].shape
    ]  # fmt: skip
    if problems:
        raise WeightsError(f"{kind} {source} does not fit the network:\n" + _indented(problems))
    report = ImportReport(
        source=source,
        kind=kind,
        loaded=tuple(sorted(parameters)),
        initialised=tuple(sorted(set(shapes) - set(parameters))),
        dropped=(),
        numbers=sum(array.size for array in parameters.values()),
        hash=content,
    )
    return parameters, report


def _indented(lines: list[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)
