"""Weights of openpi checkpoints in and out, on a small network of the same shape."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import orbax.checkpoint as ocp
import pytest

from hearth.benchmark import load_benchmark
from hearth.benchmark.benchmark import default_folder
from hearth.cli import main
from hearth.core.errors import WeightsError
from hearth.core.sections import RuntimeSettings
from hearth.core.statistics import Statistics
from hearth.data.norm_stats import write_norm_stats
from hearth.policy import bundle as bundles
from hearth.policy.network import NetworkDefinition
from hearth.policy.runtime import Policy
from hearth.policy.weights import bundling, exporting
from hearth.policy.weights.bundling import import_bundle
from hearth.policy.weights.checkpoint import Tree, read_tree, write_tree
from hearth.policy.weights.exporting import export_bundle, tree_of_parameters
from hearth.policy.weights.importing import import_parameters, initial_parameters
from hearth.policy.weights.mapping import BUFFERS, axis_sizes, rows
from hearth.policy.weights.reference import reference_config, reference_runtime

from .conftest import make_statistics

BENCHMARK = load_benchmark("behavior-2025")
# The reference's network with every width different, the expert narrower than the backbone.
CONFIG = replace(
    reference_config(BENCHMARK),
    image_size=28, width=16, mlp_width=24, prefix_layers=3, expert_width=12, expert_mlp_width=20,
    expert_layers=3, heads=4, kv_heads=2, head_width=6, vision_width=10, vision_mlp_width=14,
    vision_heads=2, vision_layers=2, embedding_rows=260, fast_vocabulary=40, flow_samples=2,
    compute_dtype="float32", remat="none",
)  # fmt: skip


def make_tree(config=CONFIG, *, pretrained_only: bool = False) -> Tree:
    random = np.random.default_rng(3)
    sizes = axis_sizes(config)
    return {
        name: random.normal(scale=0.1, size=row.their_shape(sizes)).astype(np.float32)
        for row in rows(config)
        for name in row.theirs
        if row.pretrained or not pretrained_only
    }


@pytest.fixture(scope="module")
def definition() -> NetworkDefinition:
    return NetworkDefinition(CONFIG)


@pytest.fixture(scope="module")
def statistics() -> Statistics:
    made = make_statistics(load_benchmark("household"))
    values = {name: getattr(made, name) for name in made.__dataclass_fields__}
    return Statistics(
        **{
            **values, "benchmark": BENCHMARK.name, "robot": BENCHMARK.robot.name,
            "tasks": BENCHMARK.task_names, "per_timestep": np.ones(23, dtype=bool),
            "delta": BENCHMARK.robot.delta_mask,
            "gripper_closed": np.ones((50, 15, 2), dtype=bool),
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, statistics: Statistics) -> Path:
    """A whole checkpoint of the winning system, statistics and all."""
    folder = tmp_path_factory.mktemp("checkpoint")
    write_tree(folder / "params", {**make_tree(), BUFFERS[0]: np.eye(4, dtype=np.float32)})
    write_norm_stats(folder / "assets" / "owner" / "data" / "norm_stats.json", statistics, 32)
    return folder


def test_the_table_holds_the_full_network_exactly() -> None:
    config = reference_config()
    shapes = NetworkDefinition(config).shapes
    sizes = axis_sizes(config)
    ours = {name: row.layout.right.shape(sizes) for row in rows(config) for name in row.ours}
    assert ours == {name: leaf.shape for name, leaf in shapes.items()}
    assert sum(int(np.prod(shape)) for shape in ours.values()) == 3_404_532_135


def test_there_and_back_is_exact(checkpoint: Path, definition: NetworkDefinition) -> None:
    parameters, report = import_parameters(checkpoint, definition)
    assert {name: array.shape for name, array in parameters.items()} == {
        name: leaf.shape for name, leaf in definition.shapes.items()
    }
    assert (report.kind, report.initialised, report.dropped) == ("behavior", (), BUFFERS)
    back = tree_of_parameters(parameters, CONFIG)
    tree = make_tree()
    assert back.keys() == tree.keys()
    for name, array in tree.items():
        np.testing.assert_array_equal(back[name], array, err_msg=name)


def test_keys_come_before_values(checkpoint: Path, definition: NetworkDefinition) -> None:
    parameters, _ = import_parameters(checkpoint, definition)
    kernel = parameters["backbone/layers/attention/keys_values/kernel"]
    theirs = make_tree()["PaliGemma/llm/layers/attn/kv_einsum/w"]  # layer, k or v, head, width, d
    assert kernel[2, 5, 1 * 6 + 3] == theirs[2, 0, 1, 5, 3]
    assert kernel[2, 5, 12 + 1 * 6 + 3] == theirs[2, 1, 1, 5, 3]


def test_plain_pi05_leaves_the_rest_as_initialised(
    tmp_path: Path, definition: NetworkDefinition
) -> None:
    nested: dict = {}
    tree = make_tree(pretrained_only=True)
    for name, array in tree.items():  # as published: without `value` at the ends
        below = nested
        for part in name.split("/")[:-1]:
            below = below.setdefault(part, {})
        below[name.split("/")[-1]] = array
    with ocp.PyTreeCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "params", {"params": nested})
    parameters, report = initial_parameters(tmp_path, definition, 5)
    assert report.kind == "pi05" and parameters.keys() == definition.shapes.keys()
    everything = definition.initialise(5)
    for name in report.initialised:
        np.testing.assert_array_equal(parameters[name], everything[name], err_msg=name)
    first = {name.split("/")[0] for name in report.initialised}
    assert first == {"task_table", "stage_head", "stage_fusion", "kv_mixing", "fast"}
    np.testing.assert_array_equal(parameters["expert/time_in/bias"], tree["time_mlp_in/bias"])
    assert all(name in report.text() for name in report.initialised)


def test_every_misfit_is_named(tmp_path: Path, definition: NetworkDefinition) -> None:
    tree = make_tree()
    del tree["kv_transform/v_bias"]
    tree["action_in_proj/bias"] = np.zeros(7, np.float32)
    tree["state_proj/kernel"] = np.zeros(3, np.float32)
    write_tree(tmp_path / "params", tree)
    with pytest.raises(WeightsError) as caught:
        import_parameters(tmp_path, definition)
    message = str(caught.value)
    assert "kv_transform/v_bias is missing" in message
    assert "action_in_proj/bias has shape (7,), the network wants (12,)" in message
    assert "state_proj/kernel is unexpected" in message


def test_a_component_that_is_switched_off_is_named(checkpoint: Path) -> None:
    without = NetworkDefinition(replace(CONFIG, fast_loss_weight=0.0))
    with pytest.raises(WeightsError, match=r"fast_token_proj.*model.fast_loss_weight is 0"):
        import_parameters(checkpoint, without)


def test_a_network_of_another_kind_is_refused(checkpoint: Path, bundle_path: Path) -> None:
    tiny = NetworkDefinition(bundles.load(bundle_path).config)
    with pytest.raises(WeightsError, match=r"preset 'tiny'.*'pi05' with discretised.*vision"):
        import_parameters(checkpoint, tiny)


def test_folders_that_are_no_checkpoints(
    tmp_path: Path, checkpoint: Path, definition: NetworkDefinition
) -> None:
    with pytest.raises(WeightsError, match="there is no such folder"):
        import_parameters(tmp_path / "nothing", definition)
    with pytest.raises(WeightsError, match="is no openpi checkpoint"):
        import_parameters(tmp_path, definition)
    damaged = Path(shutil.copytree(checkpoint, tmp_path / "damaged"))
    for data in (damaged / "params").rglob("d/*"):
        data.unlink()
    with pytest.raises(WeightsError, match=f"cannot read checkpoint {damaged}"):
        import_parameters(damaged, definition)


def test_an_imported_bundle_serves_and_goes_out_again(
    checkpoint: Path, statistics: Statistics, tmp_path: Path
) -> None:
    content, report = import_bundle(
        checkpoint, tmp_path / "policy", benchmark=BENCHMARK, tasks=BENCHMARK.task_names,
        runtime=reference_runtime(), config=CONFIG,
    )  # fmt: skip
    loaded = bundles.load(tmp_path / "policy", BENCHMARK)
    assert loaded.hash == content and loaded.provenance["imported"]["hash"] == report.hash
    np.testing.assert_allclose(loaded.statistics.correlation, statistics.correlation, atol=1e-9)

    images = {
        camera.observation_key: np.zeros((28, 28, 3), np.uint8)
        for camera in BENCHMARK.cameras.values()
    }
    policy = Policy(loaded, RuntimeSettings(flow_steps=1), 0, task=BENCHMARK.task_names[0])
    action = policy.act({**images, "robot_r1::proprio": np.zeros(256)})
    assert action.shape == (23,) and np.isfinite(action).all()

    export_bundle(loaded, tmp_path / "out", expected=CONFIG, asset="owner/data")
    back, original = read_tree(tmp_path / "out"), make_tree()
    assert back.pop(BUFFERS[0]).shape == (960, 960)
    for name, array in original.items():
        np.testing.assert_array_equal(back[name], array, err_msg=name)
    again = json.loads((tmp_path / "out/assets/owner/data/norm_stats.json").read_text())
    first = json.loads((checkpoint / "assets/owner/data/norm_stats.json").read_text())
    for part, quantities in first["norm_stats"].items():
        for name, value in quantities.items():
            if value is not None:
                np.testing.assert_allclose(again["norm_stats"][part][name], value, atol=1e-9)
    with pytest.raises(WeightsError, match="exists already"):
        export_bundle(loaded, tmp_path / "out", expected=CONFIG)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_the_server_could_not_honour_is_listed(
    checkpoint: Path, tmp_path: Path, bundle_path: Path, capsys: pytest.CaptureFixture
) -> None:
    import_bundle(
        checkpoint, tmp_path / "policy", benchmark=BENCHMARK, tasks=BENCHMARK.task_names,
        runtime=reference_runtime(), config=CONFIG,
    )  # fmt: skip
    loaded = bundles.load(tmp_path / "policy")
    other = replace(
        CONFIG, state_ranges=((-1.0, 1.0),) * 23, fast_own_ids=True, padded_action_width=23
    )
    with pytest.raises(WeightsError) as caught:
        export_bundle(replace(loaded, config=other), tmp_path / "out", expected=CONFIG)
    for key in ("state_ranges", "fast_own_ids", "padded_action_width"):
        assert f"  {key}: " in str(caught.value)
    assert "23 state tokens, bins over -1..1; the server has 32 state tokens" in str(caught.value)
    absolute = replace(loaded.statistics, delta=np.zeros(23, dtype=bool))
    with pytest.raises(WeightsError, match=r"dimensions of delta actions: \[\]"):
        export_bundle(replace(loaded, statistics=absolute), tmp_path / "out", expected=CONFIG)
    assert not (tmp_path / "out").exists()
    assert main(["export-weights", str(bundle_path), "--to", str(tmp_path / "out")]) == 1
    message = capsys.readouterr().err
    for difference in ("image_size: 32; the server has 224", "FAST tokens: none", "stage_counts"):
        assert difference in message
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_without_statistics_is_refused(tmp_path: Path) -> None:
    write_tree(tmp_path / "params", make_tree(pretrained_only=True))
    with pytest.raises(WeightsError, match=r"no norm_stats.json below .*assets"):
        import_bundle(
            tmp_path, tmp_path / "policy", benchmark=BENCHMARK, tasks=BENCHMARK.task_names,
            runtime=reference_runtime(), config=CONFIG,
        )  # fmt: skip


@pytest.fixture
def small_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands know the public network alone, of 13 GB: here it is the small one."""
    monkeypatch.setattr(bundling.presets, "config", lambda *_, **__: CONFIG)
    monkeypatch.setattr(exporting, "reference_config", lambda *_: CONFIG)


@pytest.mark.usefixtures("small_reference")
def test_the_commands_carry_every_array_there_and_back(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    policy, exported = str(tmp_path / "policy"), tmp_path / "exported"
    assert main(["import-weights", str(checkpoint), "--to", policy]) == 0
    loaded = bundles.load(Path(policy), BENCHMARK)
    assert f"bundle {policy} (hash {loaded.hash})" in capsys.readouterr().out
    assert main(["export-weights", policy, "--to", str(exported), "--asset", "owner/data"]) == 0
    assert f"checkpoint {exported}" in capsys.readouterr().out
    back, original = read_tree(exported), read_tree(checkpoint)
    assert back.keys() == original.keys()
    for name, array in original.items():
        if name not in BUFFERS:  # written anew from the statistics
            np.testing.assert_array_equal(back[name], array, err_msg=name)
    assert (exported / "assets/owner/data/norm_stats.json").is_file()


@pytest.mark.usefixtures("small_reference")
def test_the_command_names_every_misfit_and_writes_nothing(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    tree = make_tree()
    del tree["kv_transform/v_bias"]
    tree["action_in_proj/bias"] = np.zeros(7, np.float32)
    tree["state_proj/kernel"] = np.zeros(3, np.float32)
    shutil.copytree(checkpoint / "assets", tmp_path / "odd" / "assets")
    write_tree(tmp_path / "odd" / "params", tree)
    assert main(["import-weights", str(tmp_path / "odd"), "--to", str(tmp_path / "policy")]) == 1
    message = capsys.readouterr().err
    assert "kv_transform/v_bias is missing" in message
    assert "action_in_proj/bias has shape (7,), the network wants (12,)" in message
    assert "state_proj/kernel is unexpected" in message
    assert not (tmp_path / "policy").exists()


def test_the_command_line_names_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    arguments = ["import-weights", str(tmp_path), "--to", str(tmp_path / "policy")]
    assert main([*arguments, "--task", "turning_on_radoi"]) == 1
    assert "did you mean 'turning_on_radio'?" in capsys.readouterr().err
    for content in ("flow_stpes: 3\n", "runtime: {flow_stpes: 3}\n"):
        (tmp_path / "runtime.yaml").write_text(content)
        assert main([*arguments, "--runtime", str(tmp_path / "runtime.yaml")]) == 1
        assert "flow_stpes" in capsys.readouterr().err
    shipped = default_folder().parent / "runtimes" / "public-code-2025.yaml"
    assert main([*arguments, "--runtime", str(shipped)]) == 1
    assert "is no openpi checkpoint" in capsys.readouterr().err
    assert main(arguments) == 1
    assert "is no openpi checkpoint" in capsys.readouterr().err
