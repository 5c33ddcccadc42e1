"""The functions a plain network is made of, in numpy: attention, embeddings, activations.

Shape letters: B batch, S sources, T tokens, h query heads, k key and value heads, d head width.
"""

from __future__ import annotations

import numpy as np

_CLOSED = -1e30


def attend(
    queries: np.ndarray, keys: np.ndarray, values: np.ndarray, mask: np.ndarray
) -> np.ndarray:
    """[B, T, h, d] from keys and values [B, S, k, d]; mask bool[B or 1, T, S]."""
    groups = queries.shape[2] // keys.shape[2]
    keys, values = np.repeat(keys, groups, 2), np.repeat(values, groups, 2)
    logits = np.einsum("bthd,bshd->bhts", queries, keys) / queries.shape[-1] ** 0.5
    logits = np.where(mask[:, None], logits, _CLOSED)
    return np.einsum("bhts,bshd->bthd", np.exp(log_softmax(logits)), values)


def rotate(x: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Gemma's rotary embedding of [B, T, h, d] at int[B, T]."""
    half = x.shape[-1] // 2
    angle = positions[..., None] / 10_000 ** (np.arange(half) / half)
    sine, cosine = np.sin(angle)[:, :, None], np.cos(angle)[:, :, None]
    first, second = x[..., :half], x[..., half:]
    return np.concatenate([first * cosine - second * sine, second * cosine + first * sine], -1)


def sine_cosine(position: np.ndarray, width: int, shortest: float, longest: float) -> np.ndarray:
    """[B, width]; phases in float32, as the public code rounds them."""
    period = np.float32(shortest) * np.float32(longest / shortest) ** np.linspace(
        0, 1, width // 2, dtype=np.float32
    )
    phase = np.float32(1) / period * np.float32(2) * np.float32(np.pi)
    angle = (position.astype(np.float32)[:, None] * phase).astype(np.float64)
    return np.concatenate([np.sin(angle), np.cos(angle)], -1)


def rms(x: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6)


def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def swish(x: np.ndarray) -> np.ndarray:
    return x * sigmoid(x)


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))
