"""The commands of the command line, one module per stage; part of the `cli` layer."""

from hearth.commands import data, evaluate, report, train

ALL = (*data.COMMANDS, *train.COMMANDS, *evaluate.COMMANDS, *report.COMMANDS)
