"""Count, mean and centred products of vectors: a value that merges without cancellation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Moments of `count` vectors of size n.

    Attributes:
        count: how many vectors.
        mean: float64[n].
        products: float64[n, n], the sum of (x - mean)(x - mean)^T over the vectors.
    """

    count: int
    mean: np.ndarray
    products: np.ndarray

    @classmethod
    def empty(cls, size: int) -> Moments:
        return cls(0, np.zeros(size), np.zeros((size, size)))

    @classmethod
    def of_sums(cls, count: int, total: np.ndarray, products: np.ndarray) -> Moments:
        """From sums of x and of x x^T, where x is already shifted near zero."""
        if count == 0:
            return cls.empty(len(total))
        return cls(count, total / count, products - np.outer(total, total) / count)

    @classmethod
    def of_rows(cls, rows: np.ndarray) -> Moments:
        """Of rows float[N, n], N >= 1."""
        rows = rows.astype(np.float64)
        mean = rows.mean(axis=0)
        rows -= mean
        return cls(len(rows), mean, rows.T @ rows)

    def shifted(self, offset: np.ndarray) -> Moments:
        """The moments of x + offset."""
        return Moments(self.count, self.mean + offset, self.products)

    def merged(self, other: Moments) -> Moments:
        """The moments of both together (Chan, Golub and LeVeque, 1979)."""
        count = self.count + other.count
        if not self.count or not other.count:
            return self if self.count else other
        step = other.mean - self.mean
        weight = self.count * other.count / count
        return Moments(
            count,
            self.mean + step * (other.count / count),
            self.products + other.products + weight * np.outer(step, step),
        )

    @property
    def variance(self) -> np.ndarray:
        """float64[n], of the population. Rounding may leave a still entry just below zero."""
        return np.maximum(self.products.diagonal(), 0.0) / self.count
