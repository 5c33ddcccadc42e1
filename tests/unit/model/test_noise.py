from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from hearth.model.configuration import ModelConfig
from hearth.model.noise import correlate, flow_noise, flow_times


def covariance(config: ModelConfig, cholesky: np.ndarray) -> np.ndarray:
    """Of 20,000 draws; the standard error of an entry is at most sqrt(2 / 20000) = 0.01."""
    noise = flow_noise(jax.random.key(0), (20, 1000), jnp.asarray(cholesky), config)
    assert noise.shape == (20, 1000, config.horizon, config.flow_width)
    flat = np.asarray(noise).reshape(20_000, -1)
    np.testing.assert_allclose(flat.mean(axis=0), 0.0, atol=0.04)
    return flat.T @ flat / len(flat)


def test_covariance_matches_the_factor(config: ModelConfig, cholesky: np.ndarray) -> None:
    np.testing.assert_allclose(covariance(config, cholesky), cholesky @ cholesky.T, atol=0.05)


def test_independent_noise_ignores_the_factor(config: ModelConfig, cholesky: np.ndarray) -> None:
    independent = dataclasses.replace(config, correlated_noise=False)
    np.testing.assert_allclose(covariance(independent, cholesky), np.eye(20), atol=0.05)


def test_padding_is_independent_of_all_else(config: ModelConfig, cholesky: np.ndarray) -> None:
    padded = dataclasses.replace(config, padded_action_loss=True)
    found = covariance(padded, cholesky).reshape((config.horizon, 6) * 2)
    size = config.horizon * config.action_width
    real = found[:, :4, :, :4].reshape(size, size)
    np.testing.assert_allclose(real, cholesky @ cholesky.T, atol=0.05)
    rest = found[:, 4:].reshape(config.horizon * 2, -1).reshape(config.horizon, 2, -1, 6)
    identity = np.eye(config.horizon * 6).reshape((config.horizon, 6) * 2)[:, 4:]
    np.testing.assert_allclose(rest, identity.reshape(rest.shape), atol=0.05)


def test_correlate_is_the_flat_product(config: ModelConfig, cholesky: np.ndarray) -> None:
    draw = jax.random.normal(jax.random.key(1), (config.horizon, config.action_width))
    expected = (cholesky @ np.asarray(draw).reshape(-1)).reshape(draw.shape)
    np.testing.assert_allclose(correlate(draw, jnp.asarray(cholesky)), expected, atol=1e-5)


def test_flow_times_follow_the_beta_distribution() -> None:
    times = np.asarray(flow_times(jax.random.key(0), (20_000,)))
    assert times.min() >= 0.001 and times.max() <= 1.0
    result = stats.kstest((times - 0.001) / 0.999, stats.beta(1.5, 1.0).cdf)
    assert result.pvalue > 1e-3
