"""``hearth serve``, ``hearth evaluate``, ``hearth merge``, ``hearth watch``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from hearth.commands.options import add_command, settings_of, tasks_of
from hearth.serving.options import add_options


def _add_serve(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "serve", help="serve a policy bundle to the official evaluators (websocket)"
    )
    parser.set_defaults(command=_serve)
    add_options(parser)


def _serve(options: argparse.Namespace) -> int:
    from hearth.serving.__main__ import serve_bundle

    return serve_bundle(options)


def _add_evaluate(subparsers: Any) -> None:
    parser = add_command(
        subparsers, "evaluate", "run an evaluation's episodes and merge them", evaluate_in_place
    )
    parser.add_argument("--evaluation", required=True, help="an evaluation or ablation")
    parser.add_argument("--task", help="one task (default: all of the experiment)")


def evaluate_in_place(options: argparse.Namespace) -> int:
    from hearth.evaluation.run import evaluate_task

    settings, benchmark = settings_of(options)
    settings.evaluation(options.evaluation)
    for task in tasks_of(options, settings, benchmark):
        evaluate_task(settings, options.evaluation, task)
    return merge(options)


def _add_merge(subparsers: Any) -> None:
    parser = add_command(
        subparsers, "merge", "merge an evaluation's episodes into one result per task", merge
    )
    parser.add_argument("--evaluation", required=True, help="an evaluation or ablation")
    parser.add_argument("--task", help="one task (default: all of the experiment)")


def merge(options: argparse.Namespace) -> int:
    from hearth.evaluation.merge import merge_all
    from hearth.evaluation.protection import refuse_change

    settings, benchmark = settings_of(options)
    settings.evaluation(options.evaluation)
    tasks = tasks_of(options, settings, benchmark)
    for task in tasks:
        refuse_change(settings, benchmark, options.evaluation, task)
    results = merge_all(settings, options.evaluation, tasks, benchmark)
    complete = all(result["complete"] for result in results)
    return 0 if complete or settings.report.allow_incomplete else 1


def _add_watch(subparsers: Any) -> None:
    parser = add_command(subparsers, "watch", "run one episode and write its video", _watch)
    parser.add_argument("--task", required=True)
    parser.add_argument(
        "--policy", default="expert", help="'expert' or a policy bundle folder (default: expert)"
    )
    parser.add_argument("--instance", type=int, help="default: the first public instance")
    parser.add_argument("--output", type=Path, help="default: watch/<task>_<instance>.mp4")
    parser.add_argument("--size", type=int, default=480, help="pixels (default: 480)")


def _watch(options: argparse.Namespace) -> int:
    from hearth.evaluation.watch import watch

    settings, benchmark = settings_of(options)
    task = benchmark.task(options.task).name
    instance = options.instance or benchmark.instances("public")[0]
    output = options.output or Path("watch") / f"{task}_{instance}.mp4"
    result = watch(settings, benchmark, task, instance, options.policy, output, options.size)
    print(f"{task} {instance}: q {result['q_score']['final']:.2f}, {result['status']}: {output}")
    return 0


COMMANDS = (_add_serve, _add_evaluate, _add_merge, _add_watch)
