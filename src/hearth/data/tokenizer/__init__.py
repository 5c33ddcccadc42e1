"""The FAST tokenizer (report, 4.7 and appendix D): training, the tokenizer itself, batches."""

from hearth.data.tokenizer.fast import FastTokenizer, tokenize_chunks
from hearth.data.tokenizer.training import (
    TokenizerReport,
    fit,
    measure,
    tokenizer_for,
    train_tokenizer,
)

__all__ = [
    "FastTokenizer",
    "TokenizerReport",
    "fit",
    "measure",
    "tokenize_chunks",
    "tokenizer_for",
    "train_tokenizer",
]
