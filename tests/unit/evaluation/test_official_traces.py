"""Traces of what official evaluators play: with a policy server of their own, and a shared one."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from official_setup import TASK, Case, CountingPolicy
from test_official_shared_server import SharedServer, play

from hearth.benchmark import load_benchmark
from hearth.core.errors import DataError, ServingError
from hearth.core.results import Results
from hearth.core.traces import read_trace, trace_path
from hearth.evaluation.merge import merge_and_write
from hearth.evaluation.official_evaluator.traces import PredictionFolder
from hearth.policy.record import PredictionRecord
from hearth.serving.access import Keys
from hearth.serving.server import serve

SERVER = (sys.executable, __file__)
ROBOT = load_benchmark("behavior-2026").robot


class TellingPolicy(CountingPolicy):
    """Predicts two actions at a time; as its stage it names the number of the episode."""

    episodes = itertools.count()
    record: PredictionRecord | None = None

    def reset(self) -> None:
        super().reset()
        self.number = next(self.episodes)

    def act(self, observation: dict) -> np.ndarray:
        if self.count % 2 == 0:
            chunk = np.full((30, ROBOT.action_width), self.count, np.float32)
            error = None if self.count == 0 else 0.25
            self.record = PredictionRecord(
                self.number, 0, 0, np.array([False, True]), error, chunk, chunk[:2], chunk[2:4], 2
            )
        return super().act(observation)


def trace_of(made: Any, instance: int, rollout: int = 0) -> dict[str, Any]:
    return read_trace(trace_path(Results.of(made).episode("public", TASK, instance, rollout)))


def number_of(made: Any, instance: int, rollout: int = 0) -> int:
    """The episode of the server, by what its every prediction says."""
    predictions = trace_of(made, instance, rollout)["predictions"]
    assert predictions["step"] == [0, 2]  # the stand-in takes three steps
    (number,) = set(predictions["raw_stage"])
    return number


@pytest.mark.parametrize("year, version, first", [(2025, "3.7.2", 1), (2026, "3.9.2", 301)])
def test_every_episode_has_its_own_trace_also_after_a_crash(tmp_path, year, version, first):
    case = Case(tmp_path, SERVER, year, version)
    case.fault(f"once_{295 if year == 2025 else 302}", "segfault")
    made = case.settings()
    assert case.run(made)["finished"] == 3
    played = [number_of(made, instance) for instance in (first, first + 2, first + 1)]
    assert sorted(set(played)) == played, "the one that crashed was played again at last"
    trace = trace_of(made, first)
    assert (trace["instance_id"], trace["steps"], trace["stages"]) == (first, 3, 5)
    assert trace["predictions"]["opened"] == [[1], [1]]
    assert trace["predictions"]["overlap_error"] == [None, 0.25]
    ((before, after),) = trace["pairs"]
    assert (before["step"], after["step"], after["used"]) == (0, 2, 2)
    assert np.shape(after["chunk"]) == (30, 23) and after["kept"][0][0] == 2.0
    line = merge_and_write(made, "public", TASK)["episodes"][0]
    assert line["trace"] == f"evaluation/public/episodes/{TASK}_{first}_0.trace.js"


def test_a_rollout_that_is_played_beside_a_finished_one_has_its_own(tmp_path):
    case = Case(tmp_path, SERVER, 2026, "3.9.2")
    made = case.settings(instances=1, rollouts=2)
    case.run(made)
    kept = number_of(made, 301, 0)
    Results.of(made).episode("public", TASK, 301, 1).unlink()
    assert case.run(made) == {"due": 2, "kept": 1, "finished": 1, "crashed": 0}
    assert len(case.played()) == 4, "the evaluator plays both again"
    assert number_of(made, 301, 1) > number_of(made, 301, 0) == kept


def test_none_is_written_where_none_is_wanted(tmp_path):
    case = Case(tmp_path, SERVER, 2026, "3.9.2")
    made = case.settings(instances=1, trace=False)
    case.run(made)
    with pytest.raises(DataError, match="does not exist"):
        trace_of(made, 301)


def test_the_relay_to_a_shared_server_is_told_too(tmp_path):
    server = SharedServer(tmp_path, Path(__file__))
    server.start()
    try:
        made, counts = play(Case(tmp_path, (), 2026, "3.9.2"), server)
    finally:
        server.kill()
    assert counts["finished"] == 4
    assert len({number_of(made, 301 + number) for number in range(4)}) == 4


def test_a_line_that_was_cut_off_costs_the_trace_alone():
    predictions = PredictionFolder()
    folder = Path(predictions.next_server()[1])
    (folder / "8000_1.jsonl").write_text('{"step": 0}\n{"step": 26, "act')
    (folder / "8000_2.jsonl").write_text('{"step": 0}\n')
    assert predictions.episode(8000, 0, 0) == []
    assert predictions.episode(8000, 0, 1) == [{"step": 0}]
    predictions.close()
    assert not folder.exists()


def test_predictions_of_evaluators_that_share_a_port_are_not_written(tmp_path):
    with pytest.raises(ServingError, match="a port per evaluator"):
        serve(TellingPolicy, "127.0.0.1", 0, predictions=tmp_path)


def main() -> None:
    """A policy server: one of an evaluation, or (ready file, key) a shared one."""
    told = {"device": "fake", "batch_sizes": [1]}
    if not sys.argv[1].startswith("--"):
        keys = Keys.model_validate({"shared": sys.argv[2]})
        ready = Path(sys.argv[1])
        return serve(TellingPolicy, "127.0.0.1", 0, metadata=told, ready_file=ready, keys=keys)
    parser = argparse.ArgumentParser()
    parser.add_argument("--one-evaluator-per-port", action="store_true")
    parser.add_argument("--port", type=int, nargs="+")
    parser.add_argument("--parent")
    for name in ("--ready-file", "--predictions"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    return serve(
        TellingPolicy, "127.0.0.1", options.port, metadata=told, ready_file=options.ready_file,
        one_evaluator_per_port=options.one_evaluator_per_port, predictions=options.predictions,
    )  # fmt: skip


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
