"""What a computation costs, read off its trace: nothing is allocated, compiled or run.

Counted are matrix products and convolutions, one multiplication and addition as two operations, as
published figures do; all else is a per cent of the time of a transformer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.interpreters import partial_eval

from hearth.core.errors import TrainingError


def operations(function: Callable[..., Any], *arguments: Any) -> int:
    """Floating-point operations of one call; `arguments` may be `jax.ShapeDtypeStruct`s.

    Raises:
        TrainingError: a loop of unknown length holds products.
    """
    return operations_of(jax.make_jaxpr(function)(*arguments))


def operations_of(trace: Any) -> int:
    """The same of a trace (a closed jaxpr): what no output needs is not counted, what
    rematerialisation computes again is counted again.

    Raises:
        TrainingError: a loop of unknown length holds products.
    """
    jaxpr = getattr(trace, "jaxpr", trace)
    needed, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    return _count(needed)


def kept_bytes(function: Callable[..., Any], *arguments: Any) -> int:
    """Bytes that the forward pass of `function` keeps for its gradient by the first argument."""

    def backward(first: Any, *others: Any) -> Any:
        return jax.vjp(lambda value: function(value, *others), first)[1]

    return tree_bytes(jax.eval_shape(backward, *arguments))


def tree_bytes(tree: Any) -> int:
    """Bytes of all arrays (or their shapes) in a tree."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _count(jaxpr: Any) -> int:
    return sum(_count_equation(equation) for equation in jaxpr.eqns)


def _count_equation(equation: Any) -> int:
    name, parameters = equation.primitive.name, equation.params
    if name == "dot_general":
        return _product(equation)
    if name == "conv_general_dilated":
        return _convolution(equation)
    inner = [_count(jaxpr) for jaxpr in _inner(parameters)]
    if name == "scan":
        return parameters["length"] * sum(inner)
    if name == "cond":
        return max(inner)
    if name == "while" and any(inner):
        raise TrainingError(
            "cannot count the operations of a loop whose length is only known when it runs "
            f"({equation.source_info.name_stack or 'while'}); valid: loops of a fixed length"
        )
    if name == "shard_map":  # written per device
        return parameters["mesh"].size * sum(inner)
    return sum(inner)


def _inner(parameters: dict[str, Any]) -> Iterator[Any]:
    """The traces that an equation calls, closed or not, alone or in a tuple."""
    for value in parameters.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            jaxpr = getattr(item, "jaxpr", item)
            if hasattr(jaxpr, "eqns"):
                yield jaxpr


def _product(equation: Any) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    shared = math.prod(left[axis] for axis in contracted)
    return 2 * math.prod(equation.outvars[0].aval.shape) * shared


def _convolution(equation: Any) -> int:
    kernel = equation.invars[1].aval.shape
    numbers = equation.params["dimension_numbers"].rhs_spec  # out features, in features, window
    window = math.prod(kernel[axis] for axis in numbers[2:])
    # The zeros that dilation puts between inputs cost nothing.
    dilation = math.prod(equation.params["lhs_dilation"])
    outputs = math.prod(equation.outvars[0].aval.shape)
    return 2 * outputs * window * kernel[numbers[1]] // dilation
