"""Several processes at one task: each episode is played once, and the first result stands."""

from __future__ import annotations

import threading
import time

from evaluation_setup import BACKENDS, TASK, played

from hearth.core import claims
from hearth.core.files import read_json
from hearth.core.results import Results
from hearth.evaluation import identity
from hearth.evaluation.run import evaluate_task


def test_only_the_episodes_that_were_asked_for_are_played(settings, faults) -> None:
    made = settings(instances=4)
    counts = evaluate_task(
        made, "trained", TASK, BACKENDS, episodes=[(302, 0), (304, 0)], part="b_"
    )
    assert counts == {"due": 2, "kept": 0, "finished": 2, "crashed": 0}
    assert sorted(played(faults)) == [302, 304]
    logs = Results.of(made).evaluation("trained") / "logs"
    assert (logs / f"{TASK}_b_server.log").exists()


def test_an_episode_that_another_process_plays_is_waited_for(settings, faults) -> None:
    made = settings(instances=2, workers=1)
    results = Results.of(made)
    evaluate_task(made, "trained", TASK, BACKENDS, episodes=[(301, 0)])
    path, claim = results.episode("trained", TASK, 301, 0), results.claim("trained", TASK, 301, 0)
    content = path.read_text()
    path.unlink()
    with claims.heartbeat() as beat:
        assert claims.take(claim) is None
        beat.add(claim)

        def finish_elsewhere() -> None:
            while len(played(faults)) < 2:
                time.sleep(0.05)
            path.write_text(content)
            beat.release(claim)

        thread = threading.Thread(target=finish_elsewhere)
        thread.start()
        counts = evaluate_task(made, "trained", TASK, BACKENDS)
        thread.join()
    assert counts == {"due": 2, "kept": 1, "finished": 1, "crashed": 0}
    assert sorted(played(faults)) == [301, 302]


def test_the_first_result_stands(settings, faults) -> None:
    made = settings(instances=1)
    evaluate_task(made, "trained", TASK, BACKENDS)
    path = Results.of(made).episode("trained", TASK, 301, 0)
    first = read_json(path)
    assert not identity.publish(path, {**first, "steps": 99})
    assert read_json(path) == first
    # What crashed, or belongs to another policy, makes room.
    other = {**first, "provenance": {**first["provenance"], "policy_hash": "other"}}
    assert identity.publish(path, other) and read_json(path) == other
    crashed = {**first, "status": "crashed"}
    assert identity.publish(path, crashed)
    assert identity.publish(path, first) and read_json(path) == first
    assert not [item for item in path.parent.iterdir() if item.name.startswith(".")]
