from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.model.inpainting import (
    Inpainting,
    constrain,
    is_above_threshold,
    is_constrained,
    propagation_matrix,
)

HORIZON, WIDTH = 5, 4


def chunk_and_targets(kept: int, seed: int = 0) -> tuple[jax.Array, Inpainting]:
    keys = jax.random.split(jax.random.key(seed))
    targets = 0.1 * jax.random.normal(keys[1], (3, kept, WIDTH))
    inpainting = Inpainting(targets, jnp.ones(3, dtype=bool))
    return jax.random.normal(keys[0], (3, HORIZON, WIDTH)), inpainting


@pytest.mark.parametrize(("steps", "constrained"), [(10, 7), (20, 14), (1, 0), (2, 1), (15, 10)])
def test_held_for_the_first_seventy_percent(steps: int, constrained: int) -> None:
    assert sum(bool(is_constrained(taken, steps)) for taken in range(1, steps + 1)) == constrained


@pytest.mark.parametrize(("steps", "constrained"), [(10, 6), (20, 13)])
def test_accumulated_time_ends_one_step_earlier(steps: int, constrained: int) -> None:
    time, held = jnp.float32(1.0), 0
    for _ in range(steps):
        time = time - jnp.float32(1.0 / steps)
        held += int(is_above_threshold(time))
    assert held == constrained


def test_propagation_is_the_conditional_expectation(cholesky: np.ndarray) -> None:
    covariance = cholesky.astype(np.float64) @ cholesky.T
    held = 8
    expected = covariance[held:, :held] @ np.linalg.inv(covariance[:held, :held])
    matrix = propagation_matrix(jnp.asarray(cholesky), held)
    np.testing.assert_allclose(matrix, expected, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(kept=st.integers(1, HORIZON - 1), time=st.floats(0, 1), seed=st.integers(0, 1000))
def test_identity_correlation_leaves_free_actions_alone(kept: int, time: float, seed: int) -> None:
    chunk, inpainting = chunk_and_targets(kept, seed)
    matrix = propagation_matrix(jnp.eye(HORIZON * WIDTH), kept * WIDTH)
    held = constrain(chunk, chunk, time, inpainting, matrix)
    np.testing.assert_array_equal(held[:, kept:], chunk[:, kept:])
    path = (1.0 - time) * inpainting.targets + time * chunk[:, :kept]
    np.testing.assert_allclose(held[:, :kept], path, atol=1e-6)


def test_end_of_the_flow_sets_the_targets(cholesky: np.ndarray) -> None:
    chunk, inpainting = chunk_and_targets(2)
    matrix = propagation_matrix(jnp.asarray(cholesky), 2 * WIDTH)
    held = constrain(chunk, 9.0 * chunk, 0.0, inpainting, matrix)
    np.testing.assert_allclose(held[:, :2], inpainting.targets, atol=1e-6)


def test_correlation_moves_the_neighbours_along(cholesky: np.ndarray) -> None:
    matrix = propagation_matrix(jnp.asarray(cholesky), 2 * WIDTH)
    chunk = jnp.zeros((1, HORIZON, WIDTH))
    inpainting = Inpainting(jnp.full((1, 2, WIDTH), 0.5), jnp.ones(1, dtype=bool))
    held = np.asarray(constrain(chunk, chunk, 0.0, inpainting, matrix))[0]
    # The test's covariance decays by 0.8 per time step.
    np.testing.assert_allclose(held[2:, 0], 0.5 * 0.8 ** np.arange(1, 4), atol=1e-4)


@pytest.mark.parametrize("choice", ["sample", "batch"])
def test_large_corrections_are_left_out(cholesky: np.ndarray, choice: str) -> None:
    """The second sample's correction is too large: it stays, and with `batch` so does the first."""
    matrix = propagation_matrix(jnp.asarray(cholesky), 2 * WIDTH)
    chunk = jnp.zeros((2, HORIZON, WIDTH))
    targets = jnp.stack([jnp.full((2, WIDTH), 0.5), jnp.full((2, WIDTH), 5.0)])
    inpainting = Inpainting(targets, jnp.ones(2, dtype=bool))
    held = np.asarray(constrain(chunk, chunk, 0.0, inpainting, matrix, choice))  # type: ignore[arg-type]
    np.testing.assert_allclose(held[:, :2], targets, atol=1e-6)
    assert bool(np.all(held[0, 2:] > 0.1)) == (choice == "sample")
    assert not held[1, 2:].any()


def test_padding_dimensions_are_held_if_targets_have_them(cholesky: np.ndarray) -> None:
    matrix = propagation_matrix(jnp.asarray(cholesky), 2 * WIDTH)
    chunk = jnp.full((1, HORIZON, WIDTH + 2), 0.1)
    for width in (WIDTH, WIDTH + 2):
        inpainting = Inpainting(jnp.zeros((1, 2, width)), jnp.ones(1, dtype=bool))
        held = np.asarray(constrain(chunk, chunk, 0.0, inpainting, matrix))[0]
        assert not held[:2, :width].any()
        np.testing.assert_array_equal(held[:2, width:], chunk[0, :2, width:])
        np.testing.assert_array_equal(held[2:, WIDTH:], chunk[0, 2:, WIDTH:])


def test_without_correlation_nothing_moves_along() -> None:
    chunk, inpainting = chunk_and_targets(2)
    held = constrain(chunk, chunk, 0.5, inpainting, None)
    np.testing.assert_array_equal(held[:, 2:], chunk[:, 2:])


def test_samples_without_targets_stay(cholesky: np.ndarray) -> None:
    chunk, inpainting = chunk_and_targets(2)
    inpainting = inpainting._replace(mask=jnp.asarray([True, False, True]))
    matrix = propagation_matrix(jnp.asarray(cholesky), 2 * WIDTH)
    held = constrain(chunk, chunk, 0.5, inpainting, matrix)
    np.testing.assert_array_equal(held[1], chunk[1])
    assert np.any(np.asarray(held[0] != chunk[0]))
