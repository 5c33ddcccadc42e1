"""Train the FAST tokenizer on chunks of all tasks, and measure it on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, trainers

from hearth.benchmark import Benchmark, experiment_benchmark
from hearth.core.data_sections import TokenizerSettings
from hearth.core.errors import SettingsError
from hearth.core.results import Results
from hearth.core.settings import Settings
from hearth.core.statistics import Statistics
from hearth.data.tokenizer.fast import FastTokenizer, as_text, letters_of
from hearth.data.tokenizer.sampling import sample_chunks


@dataclass(frozen=True)
class TokenizerReport:
    """How well a tokenizer does on chunks that it was not trained on.

    Attributes:
        chunks: how many.
        lengths: int64[chunks], tokens of each before truncation.
        truncated: chunks of more than the most tokens.
        clipped: coefficients beyond the alphabet, of `coefficients` in all.
        errors: action group -> float64[chunks], root mean square error of each chunk after
            encoding, truncation and decoding, in the group's unit.
        largest_error: over all encoded dimensions.
    """

    chunks: int
    lengths: np.ndarray
    truncated: int
    clipped: int
    coefficients: int
    errors: dict[str, np.ndarray]
    largest_error: float

    def summary(self) -> dict[str, Any]:
        """The numbers as JSON values."""
        quantiles = np.quantile(self.lengths, [0.5, 0.95])
        return {
            "chunks": self.chunks,
            "tokens": {
                "mean": round(float(self.lengths.mean()), 2),
                "median": float(quantiles[0]),
                "q95": float(quantiles[1]),
                "most": int(self.lengths.max()),
            },
            "truncated": self.truncated,
            "clipped_coefficients": self.clipped,
            "coefficients": self.coefficients,
            "root_mean_square_error": {
                name: float(np.sqrt(np.mean(np.square(values))))
                for name, values in self.errors.items()
            },
            "largest_error": self.largest_error,
        }


def tokenizer_for(settings: Settings, run: str, statistics: Statistics) -> FastTokenizer | None:
    """The trained tokenizer of a run where its network predicts FAST tokens, else None.

    Raises:
        DataError: it is missing or damaged, or was trained with other statistics.
    """
    if not settings.for_run(run).uses_tokenizer:
        return None
    tokenizer = FastTokenizer.load(Results.of_run(settings, run).tokenizer)
    tokenizer.check(statistics)
    return tokenizer


def train_tokenizer(
    settings: Settings, tasks: Sequence[str], statistics: Statistics
) -> tuple[FastTokenizer, TokenizerReport]:
    """The tokenizer of an experiment; the same settings and episodes always give the same one.

    Raises:
        DataError: a task is not prepared, or no episode has a full chunk.
        StatisticsError: the statistics are of other tasks or another horizon.
        SettingsError: dimensions beyond the robot's, or more letters than the vocabulary has room.
    """
    benchmark = experiment_benchmark(settings)
    horizon, section = settings.statistics.horizon, settings.tokenizer
    statistics.check(benchmark.robot.name, tuple(tasks), horizon)
    files = [Results.of(settings).episodes(task) for task in tasks]
    wanted = section.training_chunks + section.evaluation_chunks
    chunks = sample_chunks(files, statistics.delta, horizon, wanted, settings.seed)
    # Where there are fewer chunks than asked for, both parts shrink alike.
    split = max(1, len(chunks) * section.training_chunks // wanted)
    training, evaluation = chunks[:split], chunks[split:]
    tokenizer = fit(training, statistics, section, settings.model.fast_vocabulary)
    return tokenizer, measure(tokenizer, evaluation if len(evaluation) else training, benchmark)


def fit(
    chunks: np.ndarray, statistics: Statistics, section: TokenizerSettings, vocabulary: int
) -> FastTokenizer:
    """Train on delta chunks [n, H, D].

    Raises:
        SettingsError: dimensions beyond the robot's, or more letters than the vocabulary has room.
    """
    width = chunks.shape[-1]
    dimensions = section.dimensions()
    if dimensions[-1] >= width:
        raise SettingsError(
            f"tokenizer.encoded_dimensions '{section.encoded_dimensions}' ends at "
            f"{dimensions[-1] + 1}; robot '{statistics.robot}' has {width} dimensions"
        )
    untrained = FastTokenizer(
        bpe=Tokenizer(models.BPE()),
        dimensions=np.array(dimensions, dtype=np.int64),
        low=statistics.action_q01,
        high=statistics.action_q99,
        rest=statistics.action_mean,
        horizon=chunks.shape[1],
        scale=section.scale,
        smallest=-section.coefficient_limit,
        largest=section.coefficient_limit,
        maximum_tokens=section.maximum_tokens,
        statistics_hash=statistics.hash,
    )
    coefficients = untrained.coefficients(chunks)
    limit = section.coefficient_limit
    smallest = max(int(coefficients.min()), -limit)
    largest = min(int(coefficients.max()), limit)
    letters = letters_of(smallest, largest)
    if len(letters) > vocabulary:
        raise SettingsError(
            f"coefficients {smallest} to {largest} need {len(letters)} letters, "
            f"model.fast_vocabulary has {vocabulary}; lower tokenizer.scale ({section.scale:g}) or "
            f"tokenizer.coefficient_limit ({limit})"
        )
    bpe = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        show_progress=False,
        special_tokens=[],
        initial_alphabet=letters,
    )
    bpe.train_from_iterator(as_text(coefficients, smallest, largest), trainer)
    return replace(untrained, bpe=bpe, smallest=smallest, largest=largest)


def measure(tokenizer: FastTokenizer, chunks: np.ndarray, benchmark: Benchmark) -> TokenizerReport:
    """Encode, truncate and decode delta chunks [n, H, D]."""
    coefficients = tokenizer.coefficients(chunks)
    outside = (coefficients < tokenizer.smallest) | (coefficients > tokenizer.largest)
    encoded = tokenizer.encode_all(chunks)
    limit = tokenizer.maximum_tokens
    decoded = np.stack([tokenizer.decode(tokens[:limit]) for tokens in encoded])
    error = decoded - chunks
    lengths = np.array([len(tokens) for tokens in encoded], dtype=np.int64)
    errors = {}
    for group in benchmark.robot.actions:
        own = np.intersect1d(np.arange(group.start, group.stop), tokenizer.dimensions)
        if len(own):
            errors[group.name] = np.sqrt(np.square(error[..., own]).mean(axis=(1, 2)))
    return TokenizerReport(
        chunks=len(chunks),
        lengths=lengths,
        truncated=int((lengths > limit).sum()),
        clipped=int(outside.sum()),
        coefficients=coefficients.size,
        errors=errors,
        largest_error=float(np.abs(error[..., tokenizer.dimensions]).max()),
    )
