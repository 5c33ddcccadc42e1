"""Compare the exchange of weights itself: in, out again, and plain Pi0.5."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from hearth.data.norm_stats import norm_stats_of
from hearth.policy.weights.checkpoint import read_tree, write_tree
from hearth.policy.weights.exporting import shrunk_cholesky, tree_of_parameters
from hearth.policy.weights.importing import initial_parameters
from hearth.policy.weights.mapping import BUFFERS, rows
from tests.parity.checks import Check, close, equal
from tests.parity.golden import CORRELATION, Golden
from tests.parity.reference_network import ReferenceNetwork


def exchange(golden: Golden, reference: ReferenceNetwork) -> list[Check]:
    """Imported and exported again, parameters and statistics are what they were."""
    parameters, report = reference.imported
    ours = {name: np.asarray(array) for name, array in parameters.items()}
    back = tree_of_parameters(ours, reference.config)
    original = {name: array for name, array in golden.tree.items() if name not in BUFFERS}
    different = [name for name in original if not np.array_equal(back.get(name), original[name])]
    beta, width = float(golden.inputs["beta"]), golden.meta["action_dim"]
    checks = [
        equal("parameters left out", len(report.initialised), 0),
        equal("parameters' names", sorted(back), sorted(original)),
        equal("parameters that changed", different, []),
        equal("numbers of parameters", report.numbers, golden.meta["num_params"]),
        close("factor of the noise", shrunk_cholesky(golden.statistics, width, beta),
              golden.tree[CORRELATION], atol=2e-6),
    ]  # fmt: skip
    exported = norm_stats_of(golden.statistics, width)
    for part, quantities in golden.norm_stats.items():
        for name, theirs in quantities.items():
            if theirs is None or name in ("per_timestamp_q01", "per_timestamp_q99"):
                continue
            # The factor is recorded in float32, or recovered from the one after shrinkage.
            atol = 1e-5 if name == CORRELATION else 1e-12
            checks.append(close(f"{part} {name}", exported[part][name], theirs, atol=atol))
    return checks


def pretrained(golden: Golden, reference: ReferenceNetwork) -> list[Check]:
    """Plain Pi0.5: its parameters come in, the others keep their initialisation."""
    base = {name for row in rows(reference.config) if row.pretrained for name in row.theirs}
    with tempfile.TemporaryDirectory() as folder:
        path = golden.path / "pi05_params"
        if not path.is_dir():
            path = Path(folder) / "params"
            write_tree(path, {name: golden.tree[name] for name in base})
        stored = read_tree(path)
        parameters, report = initial_parameters(path, reference.definition, 7)
    fresh = reference.definition.initialise(7, frozenset(report.initialised))
    full = reference.parameters
    read = [name for name in report.loaded if not np.array_equal(parameters[name], full[name])]
    kept = [n for n in report.initialised if not np.array_equal(parameters[n], fresh[n])]
    names = sorted([*report.loaded, *report.initialised])
    return [
        equal("parameters of Pi0.5", sorted(stored), sorted(base)),
        equal("kind", report.kind, "pi05"),
        equal("names", names, sorted(reference.definition.shapes)),
        equal("read otherwise", read, []),
        equal("not as initialised", kept, []),
    ]
