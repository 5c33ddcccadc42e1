"""FAST: action chunks as a few tokens, by cosine transform and byte-pair encoding.

After Pertsch et al., "FAST: Efficient action tokenization for vision-language-action models", 2025,
in the form of the report (4.7 and appendix D): delta chunks, normalised by global quantiles because
per-timestep normalisation would break the smoothness that the transform lives from.

Shape letters: B chunks, H horizon, D action width, E encoded dimensions, L most tokens.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from hearth.core.errors import DataError
from hearth.core.files import read_json, write_json
from hearth.core.statistics import SMALLEST_STD, Statistics

FORMAT = 1
_FIRST_CHARACTER = 0x4E00  # coefficients become letters from here on: no space, no surrogate


@dataclass(frozen=True)
class FastTokenizer:
    """Chunks to tokens and back. Pickles, so that loading processes can have it.

    Attributes:
        bpe: merges over letters that stand for integer coefficients.
        dimensions: int[E], the encoded action dimensions.
        low, high: float64[D], q01 and q99 of the delta chunks, mapped to -1 and 1.
        rest: float64[D], what decoding gives for dimensions that are not encoded.
        horizon: H.
        scale: coefficients are multiplied by it and rounded.
        smallest, largest: coefficients beyond are clipped to these.
        maximum_tokens: L.
        statistics_hash: of the statistics that the quantiles are from.
    """

    bpe: Tokenizer
    dimensions: np.ndarray
    low: np.ndarray
    high: np.ndarray
    rest: np.ndarray
    horizon: int
    scale: float
    smallest: int
    largest: int
    maximum_tokens: int
    statistics_hash: str

    @property
    def vocabulary_size(self) -> int:
        """Token ids are 0 .. vocabulary_size - 1."""
        return self.bpe.get_vocab_size()

    @cached_property
    def _basis(self) -> np.ndarray:
        return cosine_basis(self.horizon)

    def coefficients(self, chunks: np.ndarray) -> np.ndarray:
        """Delta chunks [B, H, D] -> integer coefficients int64[B, H, E], not yet clipped.

        Raises:
            DataError: another shape, or a number that is not finite.
        """
        expected = (self.horizon, len(self.low))
        if chunks.ndim != 3 or chunks.shape[1:] != expected:
            raise DataError(
                f"chunks of shape {chunks.shape} cannot be tokenised; needed are [any, "
                f"{expected[0]}, {expected[1]}]"
            )
        if not np.isfinite(chunks).all():
            raise DataError("a chunk with numbers that are not finite cannot be tokenised")
        chosen = self.dimensions
        normalised = between_quantiles(chunks[..., chosen], self.low[chosen], self.high[chosen])
        return np.rint(self._basis @ normalised * self.scale).astype(np.int64)

    def encode_all(self, chunks: np.ndarray) -> list[list[int]]:
        """Delta chunks [B, H, D] -> all tokens of each, however many.

        Raises:
            DataError: another shape, or a number that is not finite.
        """
        texts = as_text(self.coefficients(chunks), self.smallest, self.largest)
        return [found.ids for found in self.bpe.encode_batch_fast(texts)]

    def encode(self, chunk: np.ndarray) -> list[int]:
        """A delta chunk [H, D] -> its tokens, at most `maximum_tokens`: low frequencies first."""
        return self.encode_all(chunk[None])[0][: self.maximum_tokens]

    def decode(self, tokens: Sequence[int]) -> np.ndarray:
        """Tokens -> the delta chunk float64[H, D]. What a truncated sequence lacks is zero.

        Raises:
            DataError: a token is not of the vocabulary.
        """
        letters = [self.bpe.id_to_token(int(token)) if token >= 0 else None for token in tokens]
        if None in letters:
            wrong = tokens[letters.index(None)]
            raise DataError(f"no token {wrong}; valid are 0 to {self.vocabulary_size - 1}")
        text = "".join(str(letter) for letter in letters)
        codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32).astype(np.int64)
        count = self.horizon * len(self.dimensions)
        values = (codes - _FIRST_CHARACTER + self.smallest)[:count]
        values = np.pad(values, (0, count - len(values))).reshape(self.horizon, -1)
        normalised = self._basis.T @ (values / self.scale)
        chosen = self.dimensions
        chunk = np.tile(self.rest, (self.horizon, 1))
        span = _span(self.low, self.high)[chosen]
        chunk[:, chosen] = (normalised + 1.0) / 2.0 * span + self.low[chosen]
        return chunk

    def check(self, statistics: Statistics) -> None:
        """Refuse statistics other than those the tokenizer was trained with.

        Raises:
            DataError: they differ.
        """
        if self.statistics_hash != statistics.hash:
            raise DataError(
                f"the tokenizer was trained with statistics {self.statistics_hash}, not "
                f"{statistics.hash}; train it again (hearth tokenizer)"
            )

    def as_dict(self) -> dict[str, Any]:
        """JSON values of all of it."""
        return {
            "format": FORMAT,
            "dimensions": self.dimensions.tolist(),
            "low": self.low.tolist(),
            "high": self.high.tolist(),
            "rest": self.rest.tolist(),
            "horizon": self.horizon,
            "scale": self.scale,
            "smallest": self.smallest,
            "largest": self.largest,
            "maximum_tokens": self.maximum_tokens,
            "statistics_hash": self.statistics_hash,
            "bpe": json.loads(self.bpe.to_str()),
        }

    def save(self, path: Path | str) -> None:
        """Write atomically as JSON; the same tokenizer always gives the same bytes."""
        write_json(path, self.as_dict())

    @classmethod
    def load(cls, path: Path | str) -> FastTokenizer:
        """Read a file.

        Raises:
            DataError: it is missing, truncated, of another format or no tokenizer.
        """
        values = read_json(path)
        try:
            found = values.pop("format")
            if found != FORMAT:
                raise DataError(f"{path} has format {found}; this version reads {FORMAT}")
            values["bpe"] = Tokenizer.from_str(json.dumps(values["bpe"]))
            values["dimensions"] = np.array(values["dimensions"], dtype=np.int64)
            for name in ("low", "high", "rest"):
                values[name] = np.array(values[name], dtype=np.float64)
            return cls(**values)
        except DataError:
            raise
        except Exception as error:  # the tokenizers library raises bare exceptions
            raise DataError(f"{path} is not a FAST tokenizer ({error}); train it again") from error


def tokenize_chunks(tokenizer: FastTokenizer, chunks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What training reads as `fast_tokens` and `fast_token_mask`.

    Args:
        tokenizer: L is its `maximum_tokens`; longer sequences lose their end, high frequencies.
        chunks: delta chunks [B, H, D] in their own units, not normalised.

    Returns:
        Tokens int32[B, L], 0 where the mask is False, and the mask bool[B, L].
    """
    tokens = np.zeros((len(chunks), tokenizer.maximum_tokens), dtype=np.int32)
    mask = np.zeros(tokens.shape, dtype=bool)
    for row, found in enumerate(tokenizer.encode_all(chunks)):
        length = min(len(found), tokenizer.maximum_tokens)
        tokens[row, :length] = found[:length]
        mask[row, :length] = True
    return tokens, mask


def as_text(coefficients: np.ndarray, smallest: int, largest: int) -> list[str]:
    """Coefficients int64[B, H, E] as one text per chunk, frequency by frequency, clipped."""
    clipped = np.clip(coefficients, smallest, largest) - smallest + _FIRST_CHARACTER
    rows = clipped.reshape(len(coefficients), -1).astype("<u4")
    return [row.tobytes().decode("utf-32-le") for row in rows]


def letters_of(smallest: int, largest: int) -> list[str]:
    """The letters of all coefficients, the smallest one first."""
    return [chr(_FIRST_CHARACTER + number) for number in range(largest - smallest + 1)]


def cosine_basis(size: int) -> np.ndarray:
    """The orthonormal cosine transform (DCT-II) as float64[size, size], a frequency per row."""
    frequency, time = np.arange(size)[:, None], np.arange(size) + 0.5
    basis = np.cos(np.pi * frequency * time / size) * np.sqrt(2.0 / size)
    basis[0] /= np.sqrt(2.0)
    return basis


def between_quantiles(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """low -> -1 and high -> 1; what lies outside stays outside, the public code clips it."""
    return 2.0 * (values - low) / _span(low, high) - 1.0


def _span(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """q99 - q01; a dimension that hardly moves must not blow up when divided."""
    return np.maximum(high - low, SMALLEST_STD)
