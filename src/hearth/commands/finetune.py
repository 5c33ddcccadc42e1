"""``hearth groups`` and ``hearth finetune``: the second phase of training."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hearth.commands.options import add_command, settings_of

if TYPE_CHECKING:
    from hearth.core.settings import Settings

_FINETUNE = """\
Train on from the weights of another run, with a fresh optimizer: the loop of `hearth train`.

A run of the configuration that names its start (runs.<name>.initialise_from, or the section
finetuning, which makes one run per group of tasks):

    hearth finetune --config config/behavior-2025.yaml --run main-mixed

Any checkpoint and any tasks, one included. The new run takes over the settings of the run that it
comes from; --set runs.<name>.<key>=<value> gives it others:

    hearth finetune --run radio --from main --task turning_on_radio --set runs.radio.steps=500
    hearth finetune --run radio --from results/demo/runs/main/checkpoints/3000 \\
        --task turning_on_radio
    hearth finetune --run radio --from downloads/checkpoint_2 --like main --task turning_on_radio

A run that shall be evaluated by the workflow belongs into the configuration, below runs.
"""


def _add_finetune(subparsers: Any) -> None:
    parser = add_command(
        subparsers, "finetune", "train on from the weights of another run", _finetune
    )
    parser.description = _FINETUNE
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--run", required=True, help="the name of the run to train")
    parser.add_argument(
        "--from", dest="source", metavar="SOURCE",
        help="a run, its folder or one of its checkpoints, a policy bundle or an openpi checkpoint "
        "(default: what the configuration says)",
    )  # fmt: skip
    parser.add_argument(
        "--like", metavar="RUN",
        help="the run whose settings it takes over (default: the one that SOURCE belongs to)",
    )  # fmt: skip
    parser.add_argument(
        "--task", action="append", default=[],
        help="a task to train on (may be repeated; default: all of the run it is like)",
    )  # fmt: skip
    parser.add_argument(
        "--discard", action="store_true", help="drop a finished run whose settings changed"
    )


def _finetune(options: argparse.Namespace) -> int:
    from hearth.commands.checks import benchmark_of
    from hearth.core.errors import SettingsError

    settings, _ = settings_of(options)
    if options.source is not None:
        settings = branch(settings, options.run, options.source, options.like, options.task)
        benchmark_of(settings)
    elif options.like is not None or options.task:
        raise SettingsError("--like and --task describe a new run, which needs --from SOURCE")
    run = settings.run(options.run)
    if run.initialise_from is None and run.initial_weights is None:
        raise SettingsError(
            f"run '{options.run}' starts from nothing: give --from SOURCE, or set "
            f"runs.{options.run}.initialise_from; a fresh start is: hearth train"
        )
    from hearth.training.loop import train

    train(settings, options.run, discard=options.discard)
    return 0


def branch(
    settings: Settings, name: str, source: str, like: str | None, tasks: Sequence[str]
) -> Settings:
    """The settings with one more run.

    Args:
        settings: the experiment.
        name: the new run; what `runs` says of it explicitly holds.
        source: a run of the experiment, or a path.
        like: the run whose settings it takes over; None: the one that `source` belongs to.
        tasks: that it trains on; empty: those of the run that it is like.

    Raises:
        SettingsError: it is not said which run it is like, or the result is no valid experiment.
    """
    from hearth.core.settings import validate_settings

    like = like or _run_of(settings, source)
    own = settings.runs.get(name)
    given = {} if own is None else {key: getattr(own, key) for key in own.model_fields_set}
    known = source in settings.run_names
    start = {
        "initialise_from": source if known else None,
        "initial_weights": None if known else source,
    }
    chosen = {"tasks": tuple(tasks)} if tasks else {}
    values = settings.model_dump(mode="json")
    first = settings.run(like).model_dump(mode="json")
    values["runs"][name] = {**first, **given, **start, **chosen}
    return validate_settings(values, source="hearth finetune")


def _run_of(settings: Settings, source: str) -> str:
    from hearth.core.errors import SettingsError, choices
    from hearth.core.results import Results

    if source in settings.run_names:
        return source
    path = Path(source).resolve()
    for name in settings.run_names:
        folder = Results.of(settings).run(name).resolve()
        if path == folder or folder in path.parents:
            return name
    raise SettingsError(
        f"--from {source} is no run of this experiment and belongs to none: say with --like RUN "
        f"whose settings the new run takes over: {choices(source, settings.run_names)}"
    )


def _add_groups(subparsers: Any) -> None:
    parser = add_command(
        subparsers, "groups", "the groups of tasks that are fine-tuned, from the scores if so set",
        _groups,
    )  # fmt: skip
    parser.add_argument(
        "--bundles", type=Path, metavar="FILE",
        help="also write the file with which `hearth serve --policy FILE` switches by task",
    )  # fmt: skip


def _groups(options: argparse.Namespace) -> int:
    from hearth.core.errors import SettingsError
    from hearth.core.files import write_json
    from hearth.core.groups import task_groups
    from hearth.core.results import Results
    from hearth.core.selection import select_tasks
    from hearth.evaluation.identity import bundle_provenance
    from hearth.reporting.task_groups import make_groups

    settings, benchmark = settings_of(options)
    if settings.finetuning is None:
        raise SettingsError("no section 'finetuning' in the configuration: there are no groups")
    tasks = select_tasks(settings, benchmark.task_names)
    first = settings.finetuning.initialise_from
    if settings.finetuning.validation is not None:
        content = bundle_provenance(settings, first)["hash"]
        write_json(Results.of(settings).groups, make_groups(settings, tasks, content))
    groups = task_groups(settings)
    for name, members in groups.items():
        print(f"{name}: {len(members)} tasks, run {first}-{name}: {', '.join(members)}")
    alone = [task for task in tasks if not any(task in members for members in groups.values())]
    if alone:
        print(f"in no group, played by run {first}: {', '.join(alone)}")
    if options.bundles is not None:
        _write_bundles(options.bundles, settings, tasks)
    return 0


def _write_bundles(path: Path, settings: Settings, tasks: Sequence[str]) -> None:
    import os

    import yaml

    from hearth.core.files import write_text
    from hearth.core.groups import finetuned_run
    from hearth.core.results import Results

    results = Results.of(settings)
    bundles = {
        task: os.path.relpath(results.bundle(finetuned_run(settings, task)), path.parent)
        for task in tasks
    }
    write_text(path, yaml.safe_dump({"bundles": bundles}, sort_keys=False))
    print(f"bundles of {len(tasks)} tasks in {path}")


COMMANDS = (_add_groups, _add_finetune)
