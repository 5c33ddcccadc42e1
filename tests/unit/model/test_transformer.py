from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hearth.model.masks import additive
from hearth.model.presets import ModelConfig
from hearth.model.transformer import PrefixLayer, attend, normalise


def test_attend_matches_the_library() -> None:
    keys = jax.random.split(jax.random.key(0), 3)
    queries = jax.random.normal(keys[0], (2, 5, 3, 8))
    cache = [jax.random.normal(key, (2, 7, 3, 8)) for key in keys[1:]]
    mask = np.random.default_rng(0).random((5, 7)) < 0.6
    mask[:, 0] = True
    ours = attend(queries, *cache, jnp.asarray(additive(mask)))
    with jax.numpy_rank_promotion("allow"):
        library = jax.nn.dot_product_attention(queries, *cache, mask=jnp.asarray(mask[None, None]))
    np.testing.assert_allclose(ours, library, atol=1e-5)


def test_normalise_has_unit_mean_square() -> None:
    x = normalise(3.0 * jax.random.normal(jax.random.key(0), (4, 16)))
    np.testing.assert_allclose(jnp.mean(jnp.square(x), axis=-1), jnp.ones(4), rtol=1e-4)


def test_chosen_rows_equal_the_whole(config: ModelConfig) -> None:
    layer = PrefixLayer(config, nnx.Rngs(0))
    tokens = jax.random.normal(jax.random.key(1), (2, 6, config.width))
    mask = jnp.asarray(additive(np.tril(np.ones((6, 6), dtype=bool))))
    whole = layer(tokens, mask)
    part = layer(tokens, mask, slice(3, 5))
    np.testing.assert_allclose(part[0], whole[0][:, 3:5], atol=1e-5)
    np.testing.assert_allclose(part[1], whole[1], atol=1e-5)
    np.testing.assert_allclose(part[2], whole[2], atol=1e-5)
