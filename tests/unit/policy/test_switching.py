"""One policy of several bundles: an episode keeps its bundle, and memory keeps its limit."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from hearth.core.errors import BundleError, ServingError, SettingsError
from hearth.core.sections import RuntimeSettings, SwitchedPolicy
from hearth.policy import bundle as bundles
from hearth.policy.batching import act_batch
from hearth.policy.runner import PolicyRunner
from hearth.policy.runtime import Policy
from hearth.policy.switching import (
    BundleShelf,
    SwitchingPolicy,
    folder_bytes,
    memory_for_bundles,
    read_switched_policy,
)
from hearth.serving.bundle_server import policies_of

from .conftest import TASKS, ImaginedRunner

RUNTIME = RuntimeSettings(flow_steps=2, actions_to_execute=3, actions_to_keep=2)
RADIO, TRASH = TASKS


@pytest.fixture(scope="module")
def folders(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The session's bundle, and one with other weights."""
    other = tmp_path_factory.mktemp("other") / "policy"
    source = bundles.load(bundle_path)
    parameters = {name: 1.1 * array for name, array in source.parameters.items()}
    bundles.write(
        other, config=source.config, model=source.model, tasks=source.tasks,
        benchmark=source.benchmark, statistics=source.statistics, parameters=parameters,
        provenance={"runtime": source.provenance["runtime"]},
    )  # fmt: skip
    return {RADIO: str(bundle_path), TRASH: str(other)}


def switching(shelf: BundleShelf, task: str | None = None) -> SwitchingPolicy:
    return SwitchingPolicy(shelf, lambda bundle: RUNTIME, seed=3, task=task)


def of_task(observation: dict[str, Any], task: str) -> dict[str, Any]:
    return {**observation, "task_id": np.array([TASKS.index(task)])}


@pytest.mark.parametrize("resident", [None, 1])
def test_interleaved_episodes_act_as_with_their_own_bundle(
    folders: dict[str, str], observation: dict[str, Any], resident: int | None
) -> None:
    """Also where memory holds one bundle, so that every prediction of the other swaps them."""
    shelf = BundleShelf(SwitchedPolicy(bundles=folders, resident_bundles=resident))
    policies = {task: switching(shelf) for task in TASKS}
    found: dict[str, list[np.ndarray]] = {task: [] for task in TASKS}
    for _ in range(4):
        for task in TASKS:
            found[task].append(policies[task].act(of_task(observation, task)))
            assert len(shelf.resident) <= (resident or 2)
    for task in TASKS:
        alone = Policy(bundles.load(folders[task]), RUNTIME, seed=3)
        expected = [alone.act(of_task(observation, task)) for _ in range(4)]
        np.testing.assert_array_equal(found[task], expected)
    assert np.abs(np.subtract(found[RADIO], found[TRASH])).max() > 1e-3


@cache
def read_once(folder: Path) -> bundles.Bundle:
    return bundles.load(folder)


def imagined_shelf(
    folders: dict[str, str], loaded: list[Path], read: Any = read_once, **limits: int
) -> BundleShelf:
    """A shelf whose bundles need no network; `loaded` gets every load."""

    def load(folder: Path) -> Any:
        loaded.append(folder)
        return ImaginedRunner(read(folder))

    return BundleShelf(SwitchedPolicy(bundles=folders, **limits), load)


def test_the_last_prediction_is_told_until_the_reset(
    folders: dict[str, str], observation: dict[str, Any]
) -> None:
    policy, observation = switching(imagined_shelf(folders, [])), of_task(observation, TRASH)
    assert policy.record is None
    alone = Policy(ImaginedRunner(read_once(Path(folders[TRASH]))), RUNTIME, seed=3)
    for each in (policy, alone):
        each.act(observation)
    assert policy.record is not None and alone.record is not None
    np.testing.assert_array_equal(policy.record.chunk, alone.record.chunk)
    policy.reset()
    assert policy.record is None


def test_the_least_recently_used_bundle_leaves(folders: dict[str, str], tmp_path: Path) -> None:
    third = tmp_path / "third"
    shutil.copytree(folders[RADIO], third)
    loaded: list[Path] = []
    shelf = imagined_shelf({**folders, "bringing_water": str(third)}, loaded, resident_bundles=2)
    radio, trash, water = shelf.folders.values()
    for folder in (radio, trash, radio, water):
        shelf.runner(folder)
    assert shelf.resident == (radio, water)
    assert loaded == [radio, trash, water]
    shelf.runner(trash)
    assert shelf.resident == (water, trash)


def test_memory_stays_within_its_bytes(folders: dict[str, str]) -> None:
    sizes = [folder_bytes(Path(folder)) for folder in folders.values()]
    assert sizes[0] > Path(folders[RADIO], "parameters.npz").stat().st_size
    loaded: list[Path] = []
    narrow = imagined_shelf(folders, loaded, resident_bytes=sum(sizes) - 1)
    for folder in narrow.folders.values():
        narrow.runner(folder)
        assert narrow.resident == (folder,) and narrow.resident_bytes == narrow.sizes[folder]
    wide = imagined_shelf(folders, loaded, resident_bytes=sum(sizes))
    for folder in wide.folders.values():
        wide.runner(folder)
    assert wide.resident_bytes == sum(sizes)
    with pytest.raises(SettingsError, match=rf"resident_bytes 1000 cannot hold .* of {sizes[0]}"):
        imagined_shelf(folders, loaded, resident_bytes=1000)


class Accelerator:
    """A device that tells its memory."""

    def __init__(self, memory: int) -> None:
        self._memory = memory

    def memory_stats(self) -> dict[str, int]:
        return {"bytes_limit": self._memory}


def test_without_limits_as_many_stay_as_the_devices_memory_allows(
    folders: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    both = sum(folder_bytes(Path(folder)) for folder in folders.values())
    for memory, staying in ((2 * both, 2), (both, 1), (100, 1)):  # four fifths are for bundles
        monkeypatch.setattr(jax, "local_devices", lambda memory=memory: [Accelerator(memory)])
        shelf = imagined_shelf(folders, [])
        for folder in shelf.folders.values():
            shelf.runner(folder)
        assert len(shelf.resident) == staying
        assert shelf.resident[-1] == list(shelf.folders.values())[-1]
        counted = imagined_shelf(folders, [], resident_bundles=2)  # a limit that is given holds
        for folder in counted.folders.values():
            counted.runner(folder)
        assert len(counted.resident) == 2
    monkeypatch.undo()
    assert memory_for_bundles() is None  # a CPU


def test_an_episode_keeps_its_bundle_until_reset(
    folders: dict[str, str], observation: dict[str, Any]
) -> None:
    policy = switching(imagined_shelf(folders, []))
    policy.act(of_task(observation, RADIO))
    assert policy.predictor.bundle.path == Path(folders[RADIO])
    with pytest.raises(ServingError, match="task 1 in an episode of task 0"):
        policy.act(of_task(observation, TRASH))
    policy.reset()
    policy.act(of_task(observation, TRASH))
    assert policy.predictor.bundle.path == Path(folders[TRASH])


def test_a_batch_may_hold_episodes_of_several_bundles(
    folders: dict[str, str], observation: dict[str, Any]
) -> None:
    shelf = imagined_shelf(folders, [], resident_bundles=1)
    order = [RADIO, TRASH, RADIO, TRASH]
    seen = [of_task(observation, task) for task in order]
    actions = act_batch([switching(shelf) for _ in order], seen)
    for action, one in zip(actions, seen, strict=True):
        np.testing.assert_array_equal(action, switching(shelf).act(one))


def test_a_bundle_that_changed_meanwhile_is_refused(
    folders: dict[str, str], observation: dict[str, Any], tmp_path: Path
) -> None:
    changing = shutil.copytree(folders[RADIO], tmp_path / "policy")
    both = {RADIO: str(changing), TRASH: folders[TRASH]}
    shelf = imagined_shelf(both, [], bundles.load, resident_bundles=1)
    policy = switching(shelf)
    policy.act(of_task(observation, RADIO))
    switching(shelf).act(of_task(observation, TRASH))  # the first bundle has to leave
    shutil.rmtree(changing)
    shutil.copytree(folders[TRASH], changing)
    with pytest.raises(BundleError, match=r"changed from .* while it was served"):
        for _ in range(3):
            policy.act(of_task(observation, RADIO))


def test_unknown_tasks_are_named(folders: dict[str, str], observation: dict[str, Any]) -> None:
    shelf = imagined_shelf({RADIO: folders[RADIO]}, [])
    with pytest.raises(ServingError, match=r"no policy for task 1; there are 0 \(turning_on_radio"):
        switching(shelf).act(of_task(observation, TRASH))
    with pytest.raises(ServingError, match=r"'picking_up_trash'.*Valid: turning_on_radio"):
        switching(shelf, task=TRASH)
    unnamed = {key: value for key, value in observation.items() if key != "task_id"}
    fixed = switching(shelf, task=RADIO).act(unnamed)
    np.testing.assert_array_equal(fixed, switching(shelf).act(of_task(observation, RADIO)))
    with pytest.raises(ServingError, match="no observation of this episode asked for"):
        switching(shelf).finish(None)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="unknown task 'dancing'"):
        imagined_shelf({"dancing": folders[RADIO]}, [])


def test_the_file_of_a_switched_policy(folders: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    shutil.copytree(folders[RADIO], tmp_path / "radio")
    file.write_text(
        f"bundles: {{{RADIO}: radio, {TRASH}: {folders[TRASH]}}}\nresident_bundles: 1\n"
    )
    settings = read_switched_policy(file)
    assert settings.bundles == {RADIO: str(tmp_path / "radio"), TRASH: folders[TRASH]}
    assert settings.resident_bundles == 1
    for content in ("bundles: {}", "resident_bytes: 5", "[", "bundles: {a: b}\nresident: 1"):
        file.write_text(content)
        with pytest.raises(SettingsError, match=r"policies.yaml is not a policy of several"):
            read_switched_policy(file)
    with pytest.raises(BundleError, match="no policy bundle at"):
        BundleShelf(SwitchedPolicy(bundles={RADIO: str(tmp_path / "nothing")}))


def test_a_runner_drops_the_parameters_it_put_on_the_device(runner: PolicyRunner) -> None:
    assert runner.bundle.parameters == {}
    expected = sum(4 * np.prod(leaf.shape, dtype=int) for leaf in runner.definition.shapes.values())
    assert runner.parameter_bytes == expected


def test_a_server_of_several_bundles(
    folders: dict[str, str], observation: dict[str, Any], tmp_path: Path
) -> None:
    """What `hearth serve --policy FILE` gives every connection, without the wire."""
    file = tmp_path / "policies.yaml"
    file.write_text(f"bundles: {{{RADIO}: {folders[RADIO]}, {TRASH}: {folders[TRASH]}}}\n")
    served = policies_of(file, RUNTIME.model_dump(), seed=3, task=None)
    served.warm_up([1])
    assert served.tasks == TASKS
    one, other = served.make(), policies_of(Path(folders[TRASH]), RUNTIME.model_dump(), 3, None)
    seen = of_task(observation, TRASH)
    np.testing.assert_array_equal(one.act(seen), other.make().act(seen))
    assert served.hash != other.hash
    with pytest.raises(SettingsError, match="flow_stepz"):
        policies_of(file, {"flow_stepz": 1}, seed=3, task=None).warm_up()
