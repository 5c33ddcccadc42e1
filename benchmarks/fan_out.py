"""When are the 50 tasks of the 2025 challenge evaluated? The launcher's shards on a modelled Slurm.

Shards and their priorities are those that `hearth launch evaluate` submits with profiles/slurm: the
same code makes them. Slurm is modelled as list scheduling: a free GPU takes the waiting job of the
highest priority. Assumptions: the simulator keeps the robot's pace, a GPU plays one episode at a
time, each job first needs `--start-minutes` to load scene and policy, and launchers start one after
the other, `--launcher-seconds` apart, in an order drawn anew for every seed.

Prints the makespan of each way to divide the work and its ratio to a lower bound that no division
can beat: all playing and one start per task spread evenly over the GPUs, or one start and the
longest episode. Episodes last as long as the time limit allows, or drawn lengths between the mean
human demonstration and the limit.
"""

from __future__ import annotations

import argparse
import heapq
import shlex
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml

from hearth.benchmark import load_benchmark
from hearth.core.files import write_json
from hearth.core.results import Results
from hearth.core.settings import Settings, load_settings
from hearth.launch.options import command_for
from hearth.launch.units import EvaluationUnit

ROOT = Path(__file__).resolve().parents[1]
EVALUATION = "public"
Episode = tuple[str, int]  # task, instance
Minutes = Mapping[Episode, float]
Way = Callable[[Minutes, int], float]  # (lengths of the episodes, seed) -> makespan


@dataclass(frozen=True)
class Job:
    """A shard in the queue."""

    episodes: tuple[Episode, ...]
    nice: int  # lower goes first
    submitted: float  # minutes


def rule_settings(results: str, start_minutes: float, gpus: int) -> Settings:
    """What the rule `evaluate` hands to the launcher through profiles/slurm."""
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    resources = {**profile["default-resources"], **profile["set-resources"]["evaluate"]}
    resources |= {"launcher_slots": gpus, "launcher_start_minutes": start_minutes}
    words = shlex.split(command_for("evaluate", resources))
    overrides = [word for word in words if "=" in word]
    settings = load_settings(ROOT / "config/behavior-2025.yaml", [*overrides, f"results={results}"])
    write_json(Results.of(settings).bundle("main") / "provenance.json", {"hash": "0"})
    return settings


def launched(settings: Settings, tasks: Sequence[str]) -> list[Job]:
    """What the launchers of all tasks submit, where all start at once."""
    jobs = []
    for task in tasks:
        unit = EvaluationUnit(settings, EVALUATION, task)
        works, nice = unit.works(unit.remaining(), settings.launcher.shards)
        submitted = nice * settings.launcher.nice_seconds / 60
        for work in works:
            episodes = tuple((task, instance) for instance, _ in work.episodes)
            jobs.append(Job(episodes, nice, submitted))
    return jobs


def one_after_another(jobs: Sequence[Job], apart_seconds: float, seed: int) -> list[Job]:
    """The same jobs of launchers that start `apart_seconds` apart in some order."""
    tasks = sorted({job.episodes[0][0] for job in jobs})
    places = dict(zip(tasks, np.random.default_rng(seed).permutation(len(tasks)), strict=True))
    return [
        replace(job, submitted=job.submitted + places[job.episodes[0][0]] * apart_seconds / 60)
        for job in jobs
    ]


def whole_tasks(expected: Minutes) -> list[Job]:
    """One job per task, longest first."""
    minutes: dict[str, float] = {}
    for (task, _), length in expected.items():
        minutes[task] = minutes.get(task, 0.0) + length
    order = sorted(minutes, key=lambda task: -minutes[task])
    return [
        Job(tuple(episode for episode in expected if episode[0] == task), number, 0.0)
        for number, task in enumerate(order)
    ]


def makespan(jobs: Sequence[Job], minutes: Minutes, gpus: int, start: float) -> float:
    """When the last job ends, where a free GPU takes the first of the waiting jobs."""
    coming = sorted(enumerate(jobs), key=lambda pair: (pair[1].submitted, pair[0]), reverse=True)
    free, waiting, end = [0.0] * gpus, [], 0.0
    while coming or waiting:
        now = free[0] if waiting else max(free[0], coming[-1][1].submitted)
        while coming and coming[-1][1].submitted <= now:
            number, job = coming.pop()
            heapq.heappush(waiting, (job.nice, job.submitted, number))
        _, _, number = heapq.heappop(waiting)
        done = now + start + sum(minutes[episode] for episode in jobs[number].episodes)
        heapq.heapreplace(free, done)
        end = max(end, done)
    return end


def dealt(keys: Sequence[str | Episode], minutes: Minutes, gpus: int, start: float) -> float:
    """Tasks or episodes dealt to the GPUs in turn; each loads a task's scene once."""
    hands = [set(keys[number::gpus]) for number in range(gpus)]
    loads = []
    for hand in hands:
        mine = [episode for episode in minutes if episode in hand or episode[0] in hand]
        scenes = {task for task, _ in mine}
        loads.append(len(scenes) * start + sum(minutes[episode] for episode in mine))
    return max(loads)


def lower_bound(minutes: Minutes, gpus: int, start: float) -> float:
    """No division of the work ends before this."""
    scenes = len({task for task, _ in minutes})
    return max((sum(minutes.values()) + scenes * start) / gpus, start + max(minutes.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpus", type=int, default=20)
    parser.add_argument("--start-minutes", type=float, default=5.0)
    parser.add_argument("--launcher-seconds", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    gpus, start = options.gpus, options.start_minutes
    with tempfile.TemporaryDirectory() as folder:
        settings = rule_settings(folder, start, gpus)
        benchmark = load_benchmark(settings.benchmark)
        tasks = benchmark.task_names
        ours = launched(settings, tasks)
        launcher = settings.launcher.model_copy(update={"slots": 0, "nice_seconds": 0.0})
        eight = launched(settings.model_copy(update={"launcher": launcher}), tasks)
    per_minute = 60 * benchmark.frames_per_second
    episodes = [(task, instance) for task in tasks for instance in benchmark.instances("public")]
    human = {e: benchmark.task(e[0]).human_length_frames / per_minute for e in episodes}
    limit = {e: benchmark.time_limit(e[0]) / per_minute for e in episodes}
    whole = whole_tasks(limit)

    def queued(jobs: Sequence[Job]) -> Way:
        apart = options.launcher_seconds
        return lambda m, seed: makespan(one_after_another(jobs, apart, seed), m, gpus, start)

    ways: dict[str, Way] = {
        f"hearth's {len(ours)} shards": queued(ours),
        f"{launcher.shards} shards of every task": queued(eight),
        "one job per task, longest first": lambda m, _: makespan(whole, m, gpus, start),
        "round robin of tasks": lambda m, _: dealt(tasks, m, gpus, start),
        "round robin of episodes": lambda m, _: dealt(episodes, m, gpus, start),
    }
    bound = lower_bound(limit, gpus, start)
    print(f"{len(limit)} episodes on {gpus} GPUs; lower bound at the time limits {bound:.0f} min")
    report(ways, limit, human, lambda m: lower_bound(m, gpus, start), options.seeds)


def report(
    ways: Mapping[str, Way],
    limit: Minutes,
    human: Minutes,
    bound: Callable[[Minutes], float],
    seeds: int,
) -> None:
    """A line for each way: episodes as long as the time limit, and of drawn lengths."""
    print(f"{'mean (largest) of ' + str(seeds) + ' seeds':34s}{'at the limits':>28s}{'drawn':>18s}")
    for name, end in ways.items():
        ends = [end(limit, seed) for seed in range(seeds)]
        ratios = [minutes / bound(limit) for minutes in ends]
        drawn = []
        for seed in range(seeds):
            shares = np.random.default_rng(seed).random(len(limit))
            pairs = zip(limit, shares, strict=True)
            minutes = {e: human[e] + share * (limit[e] - human[e]) for e, share in pairs}
            drawn.append(end(minutes, seed) / bound(minutes))
        print(
            f"{name:34s}{np.mean(ends):8.0f} min  {np.mean(ratios):.3f} ({max(ratios):.3f})"
            f"   {np.mean(drawn):.3f} ({max(drawn):.3f})"
        )


if __name__ == "__main__":
    main()
