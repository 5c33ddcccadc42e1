"""Settings: shipped files are valid, schemas are current, errors name key, value and choices."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import yaml

from hearth.benchmark import load_benchmark
from hearth.core.errors import SettingsError
from hearth.core.selection import select_tasks
from hearth.core.settings import Settings, freeze_settings, load_settings, settings_from_workflow

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = sorted((ROOT / "config").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configurations_are_valid(path: Path) -> None:
    settings = load_settings(path)
    benchmark = load_benchmark(settings.benchmark)
    assert select_tasks(settings, benchmark.task_names)
    assert settings.evaluations


def test_schemas_match_the_models() -> None:
    spec = importlib.util.spec_from_file_location("schemas", ROOT / "scripts/write_schemas.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, text in module.schemas().items():
        assert (ROOT / "workflow/schemas" / name).read_text() == text, "run `make schemas`"


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("runs.main.stepz=3", ["runs.main.stepz", "did you mean 'steps'"]),
        ("evaluations.trianed.instances=3", ["'trianed'", "did you mean 'trained'"]),
        ("bench=x", ["'bench'", "benchmark"]),
        ("runs.main.batch_size=abc", ["runs.main.batch_size", "'abc'", "integer"]),
        ("runs.main.devices=3", ["batch_size 32", "devices 3", "multiples of 3"]),
        ("runtime.actions_to_execute=29", ["29", "horizon 30"]),
        ("evaluations.trained.policy=mian", ["'mian'", "did you mean 'main'"]),
        ("evaluations.trained.runtime={flow_stepz: 3}", ["flow_stepz", "flow_steps"]),
        ("runs.main.model={fast_vocabulary: 512}", ["fast_vocabulary", "section 'model'"]),
        ("runs.main.model={kv_mixin: false}", ["kv_mixin", "did you mean 'kv_mixing'"]),
        ("report.baseline=nobody", ["nobody", "untrained"]),
        ("model.preset=pi06", ["model.preset", "pi06", "tiny"]),
        ("data.dataset=somewhere", ["exactly one"]),
        ("upload={to: 's3://robots', submission: true}", ["no section 'submission'"]),
        ("upload.to=gs://robots", ["upload.to", "gs://robots", "s3://"]),
        ("submission.date=21.11.2026", ["submission.date", "21.11.2026"]),
        ("seed", ["dotted.key=value"]),
    ],
)
def test_errors_name_key_value_and_choices(override: str, parts: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(ROOT / "config/demo.yaml", [override])
    for part in parts:
        assert part in str(caught.value)


def test_a_new_run_or_evaluation_is_no_typo() -> None:
    path = ROOT / "config/demo.yaml"
    two = ["runs.longer.steps=9", "evaluations.longer.policy=longer"]
    assert load_settings(path, two).evaluation("longer").policy == "longer"
    for override, new in (("runs.longer={steps: 9}", []), ("runs.longer.steps=9", ["longer"])):
        assert load_settings(path, [override], new).run("longer").steps == 9
    with pytest.raises(SettingsError, match=r"no run 'mian': did you mean 'main'\?"):
        load_settings(path, ["runs.mian.steps=3"], [])


def test_unknown_task_names_the_nearest() -> None:
    settings = load_settings(ROOT / "config/demo.yaml", ["tasks=[turning_on_radoi]"])
    with pytest.raises(SettingsError, match="did you mean 'turning_on_radio'"):
        select_tasks(settings, load_benchmark(settings.benchmark).task_names)


def test_missing_file_lists_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "demo.yaml").write_text("experiment: demo")
    with pytest.raises(SettingsError, match=r"demo\.yaml"):
        load_settings(tmp_path / "dmo.yaml")


def test_workflow_and_command_line_agree() -> None:
    values = yaml.safe_load((ROOT / "config/test.yaml").read_text())
    workflow = settings_from_workflow({**values, "set": "seed=7 runs.main.steps=9"})
    command = load_settings(ROOT / "config/test.yaml", ["seed=7", "runs.main.steps=9"])
    assert workflow == command
    assert workflow.seed == 7
    assert workflow.run("main").steps == 9


def test_frozen_settings_read_back_equal(tmp_path: Path) -> None:
    settings = load_settings(ROOT / "config/demo.yaml", [f"results={tmp_path}"])
    path = freeze_settings(settings)
    assert load_settings(path) == settings
    assert freeze_settings(settings) == path


def test_a_run_overrides_the_model() -> None:
    settings = load_settings(ROOT / "config/demo.yaml", ["runs.plain.model={kv_mixing: false}"])
    assert settings.for_run("main").model == settings.model
    assert settings.for_run("plain").model == settings.model.model_copy(update={"kv_mixing": False})


def test_evaluation_runtime_overrides_the_default() -> None:
    settings = load_settings(
        ROOT / "config/demo.yaml", ["evaluations.trained.runtime={flow_steps: 20}"]
    )
    assert settings.runtime_for("trained").flow_steps == 20
    assert (
        settings.runtime_for("untrained").flow_steps
        == Settings.model_fields["runtime"].default.flow_steps
    )
