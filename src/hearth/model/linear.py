"""Linear layers and GELU with backward passes written for speed on a CPU.

The functions are the usual ones. Left to itself, the derivative of a layer that widens its input
transposes the wide side over all tokens, and GELU keeps several wide intermediates for its own;
together that is about a fifth of a training step's time.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from flax import nnx

_TANH_SCALE = math.sqrt(2.0 / math.pi)
_CUBIC = 0.044715  # of the tanh approximation (Hendrycks and Gimpel, 2016)

Pair = tuple[jax.Array, jax.Array]


@jax.custom_vjp
def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """[..., I] times [I, O] -> [..., O]."""
    return x @ kernel


def _product_forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, Pair]:
    return x @ kernel, (x, kernel)


def _product_backward(saved: Pair, cotangent: jax.Array) -> Pair:
    x, kernel = saved
    inputs, outputs = kernel.shape
    tokens, upstream = x.reshape(-1, inputs), cotangent.reshape(-1, outputs)
    # The left operand is the one that is transposed: let it be the narrow one.
    if inputs <= outputs:
        kernel_gradient = _sum_over_rows(tokens, upstream)
    else:
        kernel_gradient = _sum_over_rows(upstream, tokens).T
    return (upstream @ kernel.T).reshape(x.shape), kernel_gradient


def _sum_over_rows(left: jax.Array, right: jax.Array) -> jax.Array:
    """[n, a], [n, b] -> [a, b]."""
    return jax.lax.dot_general(left, right, (((0,), (0,)), ((), ())))


product.defvjp(_product_forward, _product_backward)


@jax.custom_vjp
def gelu(x: jax.Array) -> jax.Array:
    """Gaussian error linear unit, tanh approximation. Keeps its input alone for the gradient."""
    return jax.nn.gelu(x, approximate=True)


def _gelu_forward(x: jax.Array) -> Pair:
    return gelu(x), x


def _gelu_backward(x: jax.Array, cotangent: jax.Array) -> tuple[jax.Array]:
    square = x * x
    tanh = jnp.tanh(_TANH_SCALE * x * (1.0 + _CUBIC * square))
    slope = _TANH_SCALE * (1.0 + 3.0 * _CUBIC * square)
    return (cotangent * (0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * slope),)


gelu.defvjp(_gelu_forward, _gelu_backward)


class Linear(nnx.Linear):
    """`nnx.Linear` (same parameters and initialisation) on the product above."""

    def __call__(self, inputs: jax.Array) -> jax.Array:  # type: ignore[override]
        outputs = product(inputs, self.kernel[...])
        if self.bias is None:
            return outputs
        return outputs + jnp.expand_dims(self.bias[...], tuple(range(outputs.ndim - 1)))
