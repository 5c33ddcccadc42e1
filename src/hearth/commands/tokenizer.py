"""``hearth tokenizer``."""

from __future__ import annotations

import argparse
from typing import Any

from hearth.commands.options import add_command, add_run, own_results, settings_of


def _add_tokenizer(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "tokenizer",
        "train the FAST tokenizer on sampled chunks of all tasks",
        _tokenizer,
    )
    add_run(parser)


def _tokenizer(options: argparse.Namespace) -> int:
    from hearth.core.files import write_json
    from hearth.core.locks import alone
    from hearth.core.selection import select_tasks
    from hearth.core.statistics import Statistics
    from hearth.data.tokenizer import train_tokenizer
    from hearth.reporting.data_figures import draw_tokens
    from hearth.reporting.figures import write_figure

    settings, benchmark = settings_of(options)
    tasks = select_tasks(settings, benchmark.task_names)
    results = own_results(options, settings)
    statistics = Statistics.load(results.statistics)
    with alone(results.lock("tokenizer"), "training the tokenizer"):
        tokenizer, report = train_tokenizer(settings, tasks, statistics)
        folder, limit = results.tokenizer.parent, tokenizer.maximum_tokens
        drawing = draw_tokens(report.lengths, limit, report.errors)
        write_figure(folder / "figures", "tokens", drawing)
        summary = report.summary()
        write_json(folder / "report.json", summary)
        # Last: whoever finds this file finds all of it.
        tokenizer.save(results.tokenizer)
    for name, errors in report.errors.items():
        error = float((errors**2).mean() ** 0.5)
        print(f"{name.replace('_', ' ')}: root mean square error {error:.4f}")
    tokens = summary["tokens"]
    print(
        f"{tokens['mean']:.1f} tokens a chunk: half have at most {tokens['median']:g}, "
        f"95 % at most {tokens['q95']:g}, all at most {tokens['most']}; "
        f"{report.truncated} of {report.chunks} chunks have more than {limit} and lose the rest; "
        f"{report.clipped} of {report.coefficients} coefficients are clipped"
    )
    print(f"tokenizer of {tokenizer.vocabulary_size} tokens in {results.tokenizer}")
    return 0


COMMANDS = (_add_tokenizer,)
