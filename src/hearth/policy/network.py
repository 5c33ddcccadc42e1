"""The network as a pure function of named arrays, which is what files and optimizers hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hearth.core.errors import BundleError, choices
from hearth.model.policy_network import PolicyNetwork
from hearth.model.presets import ModelConfig

Parameters = dict[str, jax.Array]


class NetworkDefinition:
    """A network's structure without its numbers.

    Splitting the module once and merging it inside `jax.jit` is several times faster per call
    than `nnx.jit`.

    Attributes:
        config: the network's configuration.
        shapes: per parameter name ("/"-joined path) its shape and type.
        frozen: the names of the parameters that training leaves alone.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        abstract = nnx.eval_shape(lambda: PolicyNetwork(config, nnx.Rngs(0)))
        self._graph, state = nnx.split(abstract, nnx.Param)
        leaves, self._structure = jax.tree_util.tree_flatten_with_path(state)
        self._names = [_name(path) for path, _ in leaves]
        self.shapes = {name: leaf for name, (_, leaf) in zip(self._names, leaves, strict=True)}
        parts = config.frozen  # first parts of names
        self.frozen = frozenset(name for name in self._names if name.split("/")[0] in parts)

    def initialise(self, seed: int, names: Collection[str] | None = None) -> Parameters:
        """Random parameters, a function of `seed` alone; only those of `names`, if given."""
        wanted = [name for name in self._names if names is None or name in names]

        def leaves(key: jax.Array) -> list[jax.Array]:
            everything = jax.tree.leaves(
                nnx.state(PolicyNetwork(self.config, nnx.Rngs(key)), nnx.Param)
            )
            by_name = dict(zip(self._names, everything, strict=True))
            return [by_name[name] for name in wanted]

        # As one function, and without optimisation: it runs once, so compiling is all its cost.
        # What is not returned is not computed, nor does it need memory.
        compiled = jax.jit(leaves, compiler_options={"xla_backend_optimization_level": 0})
        return dict(zip(wanted, compiled(jax.random.key(seed)), strict=True))

    def build(self, parameters: Mapping[str, jax.Array]) -> PolicyNetwork:
        """The module with these parameters; also inside `jax.jit`."""
        leaves = [parameters[name] for name in self._names]
        return nnx.merge(self._graph, jax.tree.unflatten(self._structure, leaves))

    def check(self, parameters: Mapping[str, np.ndarray], source: str) -> Parameters:
        """Parameters of a file as arrays of this network.

        Raises:
            BundleError: a name is missing or unknown, or a shape differs.
        """
        for name in parameters:
            if name not in self.shapes:
                raise BundleError(f"{source}: unknown parameter '{name}'; "
                                  + choices(name, self.shapes))  # fmt: skip
        for name, expected in self.shapes.items():
            if name not in parameters:
                raise BundleError(f"{source}: parameter '{name}' is missing")
            if parameters[name].shape != expected.shape:
                raise BundleError(
                    f"{source}: parameter '{name}' has shape {parameters[name].shape}, "
                    f"the network wants {expected.shape}"
                )
        return {
            name: jnp.asarray(parameters[name], expected.dtype)
            for name, expected in self.shapes.items()
        }


def _name(path: tuple[object, ...]) -> str:
    """Keys of mappings, lists and attributes joined; the last one is the array in its variable."""
    parts = [getattr(key, "key", getattr(key, "name", getattr(key, "idx", key))) for key in path]
    return "/".join(str(part) for part in parts if part != "value")
