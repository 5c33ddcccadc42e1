"""``hearth launch``."""

from __future__ import annotations

import argparse
from typing import Any

from hearth.commands.options import add_command, settings_of


def _add_launch(subparsers: Any) -> None:
    help_text = "run training or evaluation as jobs (settings: launcher); adopts jobs that run"
    parser = subparsers.add_parser("launch", help=help_text, description=help_text)
    stages = parser.add_subparsers(metavar="STAGE", required=True)
    for name, what in (("train", "a training run"), ("finetune", "a run of the second phase")):
        train = add_command(stages, name, f"submit {what} and wait for it", _train)
        train.add_argument("--run", required=True, help="a run of the configuration")
    evaluate = add_command(
        stages, "evaluate", "submit the missing episodes of a task, wait, and merge", _evaluate
    )
    evaluate.add_argument("--evaluation", required=True, help="an evaluation or ablation")
    evaluate.add_argument("--task", required=True, help="a task of the experiment")


def _train(options: argparse.Namespace) -> int:
    settings, _ = settings_of(options)
    if settings.launcher.executor == "none":
        from hearth.commands.train import train_run

        return train_run(argparse.Namespace(**vars(options), discard=False))
    from hearth.launch.launcher import launch
    from hearth.launch.units import TrainingUnit

    launch(TrainingUnit(settings, options.run), settings)
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from hearth.commands.evaluate import evaluate_in_place, merge
    from hearth.evaluation.protection import refuse_change

    settings, benchmark = settings_of(options)
    settings.evaluation(options.evaluation)
    task = benchmark.task(options.task).name
    refuse_change(settings, benchmark, options.evaluation, task)
    if settings.launcher.executor == "none":
        return evaluate_in_place(options)
    from hearth.launch.launcher import launch
    from hearth.launch.units import EvaluationUnit

    try:
        launch(EvaluationUnit(settings, options.evaluation, task), settings)
    finally:
        merged = merge(options)  # also of what there is when it gives up
    return merged


COMMANDS = (_add_launch,)
