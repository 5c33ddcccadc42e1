# Settings, paths and wildcards. A bad configuration fails here, before any job exists.
import os
import re
import socket
import sys
from pathlib import Path

from hearth.benchmark.facts import data_facts, episode_facts
from hearth.commands.checks import benchmark_of, check_imports
from hearth.commands.protection import check_protected
from hearth.core.errors import HearthError, choices
from hearth.core.finetuning import FINETUNED, VALIDATION
from hearth.core.groups import run_for, tasks_of_run
from hearth.core.own_statistics import measures_anew
from hearth.core.results import Results
from hearth.core.settings import freeze_settings, settings_from_workflow
from hearth.core.selection import select_tasks
from hearth.launch.names import experiment_key
from hearth.launch.options import launch_command

try:
    SETTINGS = settings_from_workflow(config)
    BENCHMARK = benchmark_of(SETTINGS)
    check_imports(SETTINGS)
    TASKS = select_tasks(SETTINGS, BENCHMARK.task_names)
    # Before Snakemake deletes the outputs of rules that it would run again.
    check_protected(SETTINGS, BENCHMARK, TASKS)
    # Jobs read a frozen copy named by its content, so that a dry run with other settings
    # cannot change what a running workflow does. Rules name it as a resource: unlike a parameter
    # or an input, a resource that changes re-runs nothing.
    FROZEN = str(freeze_settings(SETTINGS))
except HearthError as error:
    raise WorkflowError(str(error))

RESULTS = Results.of(SETTINGS)
# Jobs find the `hearth` of the Python that runs Snakemake, and end with that Snakemake. Huge pages
# spare XLA on CPU the page faults of its large short-lived buffers: a third of a step's time. What
# one job compiles the next one finds: a resumed training, the policy servers of other tasks.
COMPILED = os.environ.get(
    "JAX_COMPILATION_CACHE_DIR", RESULTS.compiled(socket.gethostname()).absolute()
)
# By this key `hearth status` and `hearth cluster usage` know whose jobs Snakemake's Slurm executor
# submits: sbatch takes it from here. A site that wants a WCKey of its own finds it untouched.
os.environ.setdefault("SBATCH_WCKEY", experiment_key(SETTINGS))
shell.prefix(
    f"set -euo pipefail; export PATH={Path(sys.executable).parent}:$PATH HEARTH_PARENT=$PPID"
    f" GLIBC_TUNABLES=glibc.malloc.hugetlb=1 JAX_COMPILATION_CACHE_DIR='{COMPILED}'; "
)
EXPERTS = SETTINGS.demonstrations is not None
DATASET = Path(SETTINGS.data.dataset or RESULTS.dataset)


# A run that starts from another run of the experiment waits for it and has a rule of its own.
FINETUNED_RUNS = [
    name
    for name in SETTINGS.run_names
    if SETTINGS.run(name).initialise_from is not None
]
FIRST_RUNS = [name for name in SETTINGS.run_names if name not in FINETUNED_RUNS]
# Evaluations that were played elsewhere: the sections, and what `hearth import-results` brought in.
IMPORTED = sorted({*SETTINGS.imports, *RESULTS.imported_evaluations()})
# A run with a normalisation of its own has statistics, and perhaps a tokenizer, of its own.
OWN_STATISTICS = [name for name in FIRST_RUNS if SETTINGS.own_statistics(name)]


wildcard_constraints:
    task="[^/]+",
    run="[^/]+",
    evaluation="[^/]+",


def one_of(names):
    """A wildcard's constraint; of no names, one that nothing meets."""
    return "|".join(map(re.escape, names)) or "(?!)"


def none_of(names):
    """A wildcard's constraint: any name but these; the rule says what is wrong with others."""
    return f"(?!(?:{one_of(names)})(?:/|$))[^/]+"


# Long jobs with state (train, finetune, evaluate) are submitted by `hearth launch` where the profile names a
# launcher: it can be killed and started again, and adopts the jobs that run.
localrules:
    all,
    dataset_index,
    train,
    finetune,
    task_groups,
    evaluate,
    leaderboard,
    ablations,
    submission,
    upload,


def dataset_index(task):
    """The index of a task's demonstrations, its own where the folder holds a data set per task.

    Where they come from a folder, it must be there before anything runs.
    """
    own = DATASET / task / "meta" / "info.json"
    return own if own.is_file() else DATASET / "meta" / "info.json"


def evaluation_section(wildcards):
    """What decides what is played, with what decides it in the official evaluator."""
    section = SETTINGS.evaluation(wildcards.evaluation).model_dump(mode="json")
    if SETTINGS.evaluator is not None:
        section["evaluator"] = SETTINGS.evaluator.identity()
    return section


def made_groups():
    """The groups of tasks where they follow from scores; the workflow waits for them."""
    if SETTINGS.finetuning is None or SETTINGS.finetuning.validation is None:
        return []
    return checkpoints.task_groups.get().output[0]


def groups_of(run):
    """The groups that tell which tasks a run trains on; most runs know it without."""
    finetuning = SETTINGS.finetuning
    return made_groups() if finetuning and run in finetuning.run_names else []


def statistics_of(wildcards):
    """The statistics that a run learns with."""
    return Results.of_run(SETTINGS, wildcards.run).statistics


def tokenizer_of(wildcards):
    """The tokenizer that a run learns with; without FAST tokens it needs none."""
    if not SETTINGS.for_run(wildcards.run).uses_tokenizer:
        return []
    return Results.of_run(SETTINGS, wildcards.run).tokenizer


def moments_of(wildcards):
    """What a run's own statistics are pooled from: other chunks need a pass of their own."""
    own = measures_anew(SETTINGS, wildcards.run)
    paths = RESULTS.prepared if own else RESULTS.task_statistics
    return [paths(task) for task in TASKS]


def tasks_to_train(run):
    """The tasks of a run, known once the groups are."""
    groups_of(run)
    return tasks_of_run(SETTINGS, run, TASKS)


def trained_policy(wildcards):
    """The finished run that plays this task of this evaluation; the expert needs none."""
    policy = SETTINGS.evaluation(wildcards.evaluation).policy_for(wildcards.task)
    if policy == FINETUNED:
        made_groups()
    run = run_for(SETTINGS, wildcards.evaluation, wildcards.task)
    return [] if run == "expert" else RESULTS.trained(run)


def files_to_import(wildcards):
    """The results and videos of a section of `imports`; one more or a newer one imports again.

    Where the folder is gone, what was imported stays: Snakemake asks for a source only where the
    marker is missing.
    """
    folder = Path(SETTINGS.imports[wildcards.evaluation].folder).expanduser()
    if not folder.is_dir():
        raise WorkflowError(
            f"imports.{wildcards.evaluation}.folder: {folder} is not a folder"
        )
    found = [path for end in ("json", "mp4") for path in folder.rglob(f"*.{end}")]
    # The import names what is no file, a broken link say; Snakemake would stop at it.
    return sorted(str(path) for path in found if path.is_file())


def submitted_evaluation(wildcards):
    """The results of the evaluation that is submitted, played here or brought in."""
    section = SETTINGS.submission
    if section is None:
        raise WorkflowError(
            "The target 'submission' needs a section 'submission' in the experiment, with "
            "evaluation, team, affiliation and date (docs/leaderboard.md)."
        )
    if section.evaluation in SETTINGS.evaluation_names:
        return [RESULTS.task_result(section.evaluation, task) for task in TASKS]
    if section.evaluation not in IMPORTED:
        valid = [*SETTINGS.evaluation_names, *IMPORTED]
        raise WorkflowError(
            f"submission.evaluation '{section.evaluation}': "
            + choices(section.evaluation, valid)
        )
    return RESULTS.imported(section.evaluation)


def submitted_files(wildcards):
    """The files of the section beside the results."""
    section = SETTINGS.submission
    others = [section.robot_config, section.readme] if section else []
    return [*(section.wrappers if section else []), *filter(None, others)]


def uploaded_submission(wildcards):
    """What is sent beside the results and the page."""
    if SETTINGS.upload is None:
        raise WorkflowError(
            "The target 'upload' needs a section 'upload' in the experiment with 'to', such as "
            "s3://bucket/prefix (docs/leaderboard.md)."
        )
    return RESULTS.submitted if SETTINGS.upload.submission else []
