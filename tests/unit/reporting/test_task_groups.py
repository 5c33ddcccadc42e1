"""Groups of tasks from scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_results import episode, merged, write, write_scores

from hearth.core.errors import DataError
from hearth.core.finetuning import GROUPS, VALIDATION
from hearth.core.results import Results
from hearth.core.settings import Settings, validate_settings
from hearth.reporting.task_groups import TaskScore, group_of, group_tasks, make_groups

HASH = "0123456789abcdef"
RADIO, TRASH, WATER = TASKS = ("turning_on_radio", "picking_up_trash", "bringing_water")
OURS = {"split": "validation"}
rates = st.floats(0.0, 1.0)


def make_settings(root: Path, **report: Any) -> Settings:
    values = {
        "experiment": "x", "results": str(root), "benchmark": "household", "demonstrations": {},
        "runs": {"main": {}}, "report": report,
        "finetuning": {"validation": {}, "best_success_rate": 0.5},
    }  # fmt: skip
    return validate_settings(values, source="test")


@given(st.dictionaries(st.text(max_size=3), st.builds(TaskScore, rates, rates)), rates)
def test_every_task_is_in_one_group(scores: dict[str, TaskScore], rate: float) -> None:
    groups = group_tasks(scores, max(rate, 1e-6))
    assert sorted(task for tasks in groups.values() for task in tasks) == sorted(scores)
    assert all(groups.values()), "empty groups are left out"
    assert list(groups) == [name for name in GROUPS if name in groups]


@pytest.mark.parametrize(
    ("q", "success_rate", "expected"),
    [(1.0, 1.0, "best"), (0.5, 0.5, "best"), (0.9, 0.49, "good"), (1e-9, 0.0, "good"),
     (0.0, 0.0, "bad")],
)  # fmt: skip
def test_borders(q: float, success_rate: float, expected: str) -> None:
    assert group_of(TaskScore(q, success_rate), 0.5) == expected


def test_groups_follow_from_the_merged_results(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    root = Results.of(settings).root
    write_scores(root, VALIDATION, RADIO, [1.0, 0.25], **OURS)
    write_scores(root, VALIDATION, TRASH, [0.5, 0.0], **OURS)
    write_scores(root, VALIDATION, WATER, [0.0, 0.0], **OURS)
    found = make_groups(settings, TASKS, HASH)
    assert found["groups"] == {"best": (RADIO,), "good": (TRASH,), "bad": (WATER,)}
    assert found["scores"][RADIO] == {"q": 0.625, "success_rate": 0.5}
    assert make_groups(settings, TASKS[:1], HASH)["groups"] == {"best": (RADIO,)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "public"}, "is of split 'public', not 'validation'"),
        ({"policy_hash": "other"}, "is of policy 'other', not '0123"),
    ],
)
def test_scores_of_something_else_are_refused(
    tmp_path: Path, change: dict[str, str], message: str
) -> None:
    settings = make_settings(tmp_path)
    write_scores(Results.of(settings).root, VALIDATION, RADIO, [1.0], **{**OURS, **change})
    with pytest.raises(DataError, match=message):
        make_groups(settings, [RADIO], HASH)


def test_missing_tasks_and_crashed_episodes_are_refused(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    with pytest.raises(DataError, match=f"no scores of {RADIO}.*--evaluation {VALIDATION}"):
        make_groups(settings, [RADIO], HASH)
    lines = [episode(1, 1.0), episode(2, None, "crashed"), episode(3, None, "crashed")]
    write(Results.of(settings).root, merged(VALIDATION, RADIO, lines, **OURS))
    with pytest.raises(DataError, match=r"incomplete.*'crashed': 2"):
        make_groups(settings, [RADIO], HASH)
    allowed = make_settings(tmp_path, allow_incomplete=True)
    assert make_groups(allowed, [RADIO], HASH)["groups"] == {"good": (RADIO,)}, "counted as zero"
