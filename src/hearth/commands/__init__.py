"""The commands of the command line, one module per stage; part of the `cli` layer."""

from hearth.commands import (
    data,
    demonstrations,
    evaluate,
    official,
    report,
    statistics,
    tokenizer,
    train,
    weights,
)

ALL = (
    *data.COMMANDS,
    *demonstrations.COMMANDS,
    *statistics.COMMANDS,
    *tokenizer.COMMANDS,
    *train.COMMANDS,
    *weights.COMMANDS,
    *evaluate.COMMANDS,
    *official.COMMANDS,
    *report.COMMANDS,
)
