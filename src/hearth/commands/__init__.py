"""The commands of the command line, one module per stage; part of the `cli` layer."""

from hearth.commands import (
    ablations,
    cluster,
    data,
    demonstrations,
    evaluate,
    finetune,
    launch,
    official,
    report,
    statistics,
    status,
    tokenizer,
    trace,
    train,
    upload,
    weights,
)

ALL = (
    *data.COMMANDS,
    *demonstrations.COMMANDS,
    *statistics.COMMANDS,
    *tokenizer.COMMANDS,
    *train.COMMANDS,
    *finetune.COMMANDS,
    *weights.COMMANDS,
    *evaluate.COMMANDS,
    *official.COMMANDS,
    *launch.COMMANDS,
    *cluster.COMMANDS,
    *report.COMMANDS,
    *ablations.COMMANDS,
    *trace.COMMANDS,
    *upload.COMMANDS,
    *status.COMMANDS,
)
