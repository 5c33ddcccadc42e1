"""Layers whose parameters are stacked along a leading axis, run in a loop or one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx

from hearth.core.errors import SettingsError, choices

Layer = TypeVar("Layer", bound=nnx.Module)
Step = Callable[[Any, Any, Any], tuple[Any, Any]]

# What the backward pass of a layer finds in memory instead of computing it again. Layers name
# their activations with `checkpoint_name`; see transformer.py and vision.py.
_POLICIES: dict[str, Callable[[], Callable[..., bool] | None]] = {
    "full": lambda: None,  # nothing but the layer's input
    "dots": lambda: jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    "attention": lambda: jax.checkpoint_policies.save_only_these_names("projected", "attended"),
    "gate": lambda: jax.checkpoint_policies.save_only_these_names("projected", "attended", "gate"),
}
REMAT = ("none", *_POLICIES)


def stack(create: Callable[[nnx.Rngs], Layer], count: int, rngs: nnx.Rngs) -> Layer:
    """`count` layers as one module: every parameter has them along its first axis."""
    stacked = nnx.split_rngs(splits=count)(nnx.vmap(create, in_axes=0, out_axes=0))
    return stacked(rngs)


def run(
    layers: nnx.Module, step: Step, carry: Any, inputs: Any = None, *, scan: bool, remat: str
) -> tuple[Any, Any]:
    """Run stacked layers in order.

    Args:
        layers: from `stack`.
        step: (layer, carry, input) -> (carry, output), for one layer.
        carry: what goes from layer to layer.
        inputs: arrays with a leading axis of layers, or None.
        scan: compile one layer and loop; False: all layers one after another.
        remat: one of `REMAT`.

    Returns:
        The last carry, and the outputs with a leading axis of layers.
    """
    graph, parameters = nnx.split(layers)

    def body(carry: Any, item: Any) -> tuple[Any, Any]:
        return step(nnx.merge(graph, item[0]), carry, item[1])

    body = rematerialised(body, remat, in_loop=scan)
    if scan:
        return jax.lax.scan(body, carry, (parameters, inputs))
    outputs = []
    for item in _unstack((parameters, inputs)):
        carry, output = body(carry, item)
        outputs.append(output)
    return carry, jax.tree.map(lambda *leaves: jnp.stack(leaves), *outputs)


def run_in_place(layers: nnx.Module, step: Step, carry: Any, count: int) -> tuple[Any, Any]:
    """`run` the first `count` layers in a loop that reads the stacked parameters where they lie.

    For passes without a gradient: it would be added up in an array of all layers at every layer.
    With it, and only with it, a copy of the first layers (7 GB of the largest preset) is cheaper.
    """
    graph, parameters = nnx.split(layers)

    def body(carry: Any, index: jax.Array) -> tuple[Any, Any]:
        own = jax.tree.map(
            lambda leaf: jax.lax.dynamic_index_in_dim(leaf, index, keepdims=False), parameters
        )
        return step(nnx.merge(graph, own), carry, None)

    return jax.lax.scan(body, carry, jnp.arange(count))


def take(layers: Layer, index: int) -> Layer:
    """One of several stacked layers."""
    graph, parameters = nnx.split(layers)
    return nnx.merge(graph, jax.tree.map(lambda leaf: leaf[index], parameters))


def split_last(layers: Layer) -> tuple[Layer | None, Layer]:
    """All layers but the last, stacked (None if there is one only), and the last one alone."""
    graph, parameters = nnx.split(layers)
    count = len(jax.tree.leaves(parameters)[0])
    pieces = jax.tree.map(lambda leaf: jax.lax.split(leaf, (count - 1, 1)), parameters)
    first, last = (
        jax.tree.map(lambda _, pair, index=index: pair[index], parameters, pieces)
        for index in (0, 1)
    )
    last = jax.tree.map(lambda leaf: leaf[0], last)
    return (nnx.merge(graph, first) if count > 1 else None), nnx.merge(graph, last)


def rematerialised(function: Callable[..., Any], remat: str, *, in_loop: bool) -> Any:
    """`function`, its activations recomputed in the backward pass as `remat` says.

    Raises:
        SettingsError: no such choice.
    """
    if remat not in REMAT:
        raise SettingsError(f"unknown remat '{remat}': {choices(remat, REMAT)}")
    if remat == "none":
        return function
    # Within a loop nothing can be merged with the forward pass, so no barrier is needed.
    return jax.checkpoint(function, policy=_POLICIES[remat](), prevent_cse=not in_loop)


def _unstack(tree: Any) -> list[Any]:
    """The items of a tree's leading axis; the gradient of a split is one concatenation."""
    leaves, structure = jax.tree.flatten(tree)
    items = [jax.lax.split(leaf, (1,) * len(leaf)) for leaf in leaves]
    return [
        jax.tree.unflatten(structure, [piece[0] for piece in pieces])
        for pieces in zip(*items, strict=True)
    ]
