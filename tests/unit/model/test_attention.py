from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hearth.model.attention import attend, attend_shared


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_attend_matches_the_library(groups: int) -> None:
    keys = jax.random.split(jax.random.key(0), 3)
    queries = jax.random.normal(keys[0], (2, 5, 4, 8))
    cache = [jax.random.normal(key, (2, 7, groups, 8)) for key in keys[1:]]
    mask = np.random.default_rng(0).random((2, 5, 7)) < 0.6
    mask[:, :, 0] = True
    ours = attend(queries, *cache, jnp.asarray(mask))
    with jax.numpy_rank_promotion("allow"):
        library = jax.nn.dot_product_attention(queries, *cache, mask=jnp.asarray(mask[:, None]))
    np.testing.assert_allclose(ours, library, atol=1e-5)


def test_a_query_that_sees_nothing_stays_finite() -> None:
    x = jax.random.normal(jax.random.key(0), (1, 3, 2, 4))
    attended = attend(x, x, x, jnp.zeros((1, 3, 3), dtype=bool))
    np.testing.assert_allclose(attended[0, 0], jnp.mean(x[0], axis=0), atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_shared_keys_are_as_good_as_copies(masked: bool) -> None:
    keys = jax.random.split(jax.random.key(0), 5)
    samples, own_length, shared_length = 3, 4, 6
    queries = jax.random.normal(keys[0], (2, samples, own_length, 4, 8))
    own = [jax.random.normal(key, (2, samples, own_length, 2, 8)) for key in keys[1:3]]
    shared = [jax.random.normal(key, (2, shared_length, 2, 8)) for key in keys[3:]]
    mask = np.random.default_rng(0).random((2, shared_length)) < 0.5 if masked else None
    together = attend_shared(
        queries,
        (own[0], own[1]),
        (shared[0], shared[1]),
        None if mask is None else jnp.asarray(mask),
    )
    seen = np.ones((2, own_length, shared_length + own_length), dtype=bool)
    if mask is not None:
        seen[:, :, :shared_length] = mask[:, None]
    for sample in range(samples):
        cache = [
            jnp.concatenate([s, o[:, sample]], axis=1) for s, o in zip(shared, own, strict=True)
        ]
        alone = attend(queries[:, sample], *cache, jnp.asarray(seen))
        np.testing.assert_allclose(together[:, sample], alone, atol=1e-5)
