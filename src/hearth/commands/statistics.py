"""``hearth statistics``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from hearth.commands.options import add_command, add_run, add_workers, own_results, settings_of

if TYPE_CHECKING:
    from hearth.benchmark import Benchmark
    from hearth.core.results import Results
    from hearth.data.statistics import DyadicHistogram, Pooled, TaskCounts

_BINS = 120  # bars of a histogram in the figures


def _add_statistics(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "statistics",
        "normalisation, correlation and gripper table of the prepared episodes",
        _statistics,
    )
    parser.add_argument(
        "--task", help="one task's part only (default: all tasks, pooled, with figures)"
    )
    add_workers(parser)
    add_run(parser)


def _statistics(options: argparse.Namespace) -> int:
    from hearth.core.errors import SettingsError
    from hearth.core.locks import alone
    from hearth.core.selection import select_tasks
    from hearth.data.statistics import bring_up_to_date, counts_of, pool_tasks

    settings, benchmark = settings_of(options)
    results = own_results(options, settings)
    if options.task is not None and options.run is not None:
        raise SettingsError(
            "a run's own statistics are of all its tasks: leave --task or --run out"
        )
    if options.task is not None:
        task = benchmark.task(options.task).name
        with alone(results.lock("statistics", task), f"measuring {task}"):
            counts = counts_of(bring_up_to_date(settings, task))
        print(_line(counts))
        return 0
    tasks = select_tasks(settings, benchmark.task_names)
    with alone(results.lock("statistics"), "making the statistics"):
        pooled = pool_tasks(settings, tasks, options.workers, options.run)
        _write_figures(results, benchmark, pooled)
        # Last: whoever finds this file finds all of it.
        pooled.statistics.save(results.statistics)
    for counts in pooled.counts:
        print(_line(counts))
    short = sum(counts.short for counts in pooled.counts)
    if short:
        print(f"{short} episodes are shorter than the horizon and have no full chunk")
    path, digest = results.statistics, pooled.statistics.hash
    print(f"statistics of {len(tasks)} tasks in {path} (hash {digest})")
    return 0


def _line(counts: TaskCounts) -> str:
    return (
        f"{counts.task}: {counts.episodes} episodes ({counts.held_out} more held out, "
        f"{counts.short} too short for a chunk), {counts.frames} frames, {counts.chunks} chunks"
    )


def _write_figures(results: Results, benchmark: Benchmark, pooled: Pooled) -> None:
    """Draw what was measured, and write the counts beside it as `summary.json`."""
    from dataclasses import asdict

    import numpy as np

    from hearth.core.files import write_json
    from hearth.reporting import data_figures
    from hearth.reporting.figures import write_figure

    statistics, folder = pooled.statistics, results.statistics_figures
    actions = np.stack([statistics.action_q01, statistics.action_q99])
    states = np.stack([statistics.state_q01, statistics.state_q99])

    def coarse(histogram: DyadicHistogram) -> tuple[np.ndarray, np.ndarray]:
        return histogram.coarse(_BINS)

    drawings = {
        "correlation": data_figures.draw_correlation(statistics.correlation, statistics.horizon),
        "distributions": data_figures.draw_histograms(
            benchmark.robot.action_names,
            {
                "delta actions, q01 to q99 marked": (
                    [*map(coarse, pooled.delta_histograms)],
                    actions,
                ),
                "states": ([*map(coarse, pooled.state_histograms)], states),
            },
        ),
        "stage-lengths": data_figures.draw_stage_lengths(
            {counts.task: counts.stage_lengths for counts in pooled.counts},
            {counts.task: counts.mean_length for counts in pooled.counts},
            benchmark.frames_per_second,
        ),
    }
    for name, drawing in drawings.items():
        write_figure(folder, name, drawing)
    summary = {"hash": statistics.hash, "tasks": [asdict(counts) for counts in pooled.counts]}
    write_json(results.statistics_summary, summary)


COMMANDS = (_add_statistics,)
