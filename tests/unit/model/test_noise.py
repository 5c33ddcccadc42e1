from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from hearth.model.noise import correlated_noise, flow_times
from hearth.model.presets import ModelConfig


def test_covariance_matches_the_factor(config: ModelConfig, cholesky: np.ndarray) -> None:
    size = (config.horizon, config.action_width)
    noise = correlated_noise(jax.random.key(0), (20, 1000), jnp.asarray(cholesky), *size)
    assert noise.shape == (20, 1000, *size)
    flat = np.asarray(noise).reshape(20_000, -1)
    # The standard error of a covariance entry is at most sqrt(2 / 20000) = 0.01.
    np.testing.assert_allclose(flat.T @ flat / len(flat), cholesky @ cholesky.T, atol=0.05)
    np.testing.assert_allclose(flat.mean(axis=0), 0.0, atol=0.04)


def test_flow_times_follow_the_beta_distribution() -> None:
    times = np.asarray(flow_times(jax.random.key(0), (20_000,)))
    assert times.min() >= 0.001 and times.max() <= 1.0
    result = stats.kstest((times - 0.001) / 0.999, stats.beta(1.5, 1.0).cdf)
    assert result.pvalue > 1e-3
