"""How an experiment's jobs are called: by it they are found in the queue and the accounting.

The launcher's jobs have names of their own. Snakemake's Slurm executor calls all jobs of a
workflow by a random number; their rule and wildcards stand in the comment, and their experiment in
the WCKey, which sbatch takes from its environment.
"""

from __future__ import annotations

import os

from hearth.core.files import hash_json
from hearth.core.results import Results
from hearth.core.settings import Settings


def experiment_key(settings: Settings) -> str:
    """The WCKey of the experiment's jobs.

    Two checkouts may have experiments of one name: the folder tells them apart.
    """
    return f"hearth-{hash_json(os.path.realpath(Results.of(settings).root))[:8]}"


def job_name(settings: Settings, *parts: str) -> str:
    """The name of the launcher's jobs of one unit of work: its experiment, stage and names."""
    return "-".join((experiment_key(settings), *parts))


def key_of(name: str) -> str:
    """The experiment's key in the name of a launcher's job."""
    return "-".join(name.split("-", 2)[:2])


def rule_comment(rule: str, *wildcards: str) -> str:
    """The comment of a job that Snakemake's Slurm executor submits."""
    return f"rule_{rule}_wildcards_{'_'.join(wildcards)}" if wildcards else f"rule_{rule}"
