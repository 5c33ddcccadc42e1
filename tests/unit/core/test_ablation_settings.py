"""Ablations in the settings: named evaluations that share their base's episodes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hearth.benchmark import load_benchmark
from hearth.commands.checks import benchmark_of
from hearth.core.data_sections import StatisticsSettings
from hearth.core.errors import SettingsError
from hearth.core.results import Results
from hearth.core.settings import Settings, load_settings, settings_from_workflow
from hearth.evaluation import identity

ROOT = Path(__file__).resolve().parents[3]
DEMO = ROOT / "config/demo.yaml"
ABLATION = ["ablations.base=trained", "ablations.variants.blind.inpainting=false"]


def merged(experiment: str, overlay: str) -> Settings:
    """The experiment with a file of config/ablations over it, as Snakemake merges them."""
    values = yaml.safe_load((ROOT / f"config/{experiment}.yaml").read_text())
    values |= yaml.safe_load((ROOT / f"config/ablations/{overlay}.yaml").read_text())
    return settings_from_workflow(values)


@pytest.mark.parametrize(
    ("experiment", "overlay"),
    [
        ("demo", "household"),
        ("household", "household"),
        ("behavior-2025", "behavior"),
        ("behavior-2026", "behavior"),
    ],
)
def test_the_shipped_ablations_fit_their_experiments(experiment: str, overlay: str) -> None:
    settings = merged(experiment, overlay)
    benchmark_of(settings)
    assert settings.ablations is not None
    base = settings.ablations.base
    for name in settings.ablations.variants:
        full, variant = (settings.runtime_for(each).model_dump() for each in (base, name))
        changed = {key for key in full if full[key] != variant[key]}
        assert changed == set(settings.ablations.variants[name])  # one part of the runtime each
        assert len(changed) == 1


@pytest.mark.parametrize(
    ("experiment", "overlay"),
    [
        ("demo", "household-training"),
        ("household", "household-training"),
        ("behavior-2025", "behavior-training"),
        ("behavior-2026", "behavior-training"),
    ],
)
def test_the_shipped_ablations_of_the_training_change_one_part_each(
    experiment: str, overlay: str
) -> None:
    settings = merged(experiment, overlay)
    benchmark_of(settings)
    assert settings.ablations is not None
    base = str(settings.evaluation(settings.ablations.base).policy)
    assert set(settings.ablations.run_names) == set(settings.ablations.variants)
    assert set(settings.ablations.run_names) <= set(settings.run_names)
    for name, overrides in settings.ablations.variants.items():
        full, own = settings.for_run(base), settings.for_run(name)
        changed = {
            f"{section}.{key}": value
            for section in ("model", "statistics")
            for key, value in getattr(own, section).model_dump().items()
            if getattr(full, section).model_dump()[key] != value
        }
        (section,) = overrides
        assert changed == {f"{section}.{key}": item for key, item in overrides[section].items()}
        assert len(changed) == 1
        sections = {"model", "statistics"}
        runs = [settings.run(run).model_dump(exclude=sections) for run in (base, name)]
        assert runs[0] == runs[1]


def test_an_ablation_of_the_training_is_a_run_that_plays_its_bases_episodes() -> None:
    settings = load_settings(
        DEMO,
        [
            "ablations.base=trained",
            "ablations.variants.plain={model: {kv_mixing: false}, run: {steps: 9, "
            "loader: {threads: 1}}, inpainting: false}",
            "ablations.variants.absolute={statistics: {delta_actions: false}}",
            "ablations.variants.blind.inpainting=false",
        ],
    )
    assert settings.run_names == ("main", "untrained", "plain", "absolute")
    base, plain = settings.evaluation("trained"), settings.evaluation("plain")
    assert plain.policy == "plain" and settings.evaluation("blind").policy == "main"
    assert base.model_copy(update={"policy": "plain", "runtime": {"inpainting": False}}) == plain
    run = settings.run("plain")
    assert (run.steps, run.loader.threads, run.loader.task_temperature) == (9, 1, 0.5)
    assert (
        not settings.for_run("plain").model.kv_mixing and settings.for_run("main").model.kv_mixing
    )
    # Its own normalisation, and its files, belong to one run alone.
    root = Results.of(settings).root
    assert Results.of_run(settings, "plain").statistics == root / "statistics.h5"
    assert (
        Results.of_run(settings, "absolute").statistics == root / "variants/absolute/statistics.h5"
    )
    assert settings.for_run("absolute").statistics == StatisticsSettings(delta_actions=False)
    assert settings.for_run("main").statistics == StatisticsSettings()


def test_a_second_phase_keeps_the_statistics_that_its_first_one_learned_with() -> None:
    overrides = [
        "runs.main.statistics.per_timestep=all",
        "runs.later={initialise_from: main}",
        "finetuning={groups: {radio: [turning_on_radio]}}",
    ]
    settings = load_settings(DEMO, overrides)
    for name in ("main", "later", "main-radio"):
        assert settings.for_run(name).statistics.per_timestep == "all"
        assert Results.of_run(settings, name) == Results.of(settings).variant("main")
    with pytest.raises(SettingsError, match=r"runs\.later\.statistics.*weights of run 'main'"):
        load_settings(DEMO, [*overrides, "runs.later.statistics.per_timestep=false"])


def test_an_ablation_is_its_base_with_another_runtime() -> None:
    settings = load_settings(DEMO, [*ABLATION, "evaluations.trained.runtime.flow_steps=4"])
    assert settings.evaluation_names[-1] == "blind" and "blind" not in settings.evaluations
    assert settings.runtime_for("blind").flow_steps == 4
    assert not settings.runtime_for("blind").inpainting
    base, blind = settings.evaluation("trained"), settings.evaluation("blind")
    assert base.model_copy(update={"runtime": blind.runtime}) == blind
    benchmark = load_benchmark(settings.benchmark)
    due = [identity.due_episodes(settings, benchmark, name) for name in ("trained", "blind")]
    assert due[0] == due[1]
    hashes = {
        identity.config_hash(settings, benchmark, name, "turning_on_radio")
        for name in ("trained", "blind")
    }
    assert len(hashes) == 2


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["ablations.base=traind"], ["ablations.base 'traind'", "did you mean 'trained'"]),
        (["ablations.base=expert"], ["'expert'", "no runtime"]),
        (["ablations.variants.expert.inpainting=false"], ["variants.expert", "another"]),
        (["ablations.variants.same.compression=1.0"], ["variants.same", "changes nothing"]),
        (["ablations.variants.typo.flow_stepz=1"], ["flow_stepz", "did you mean 'flow_steps'"]),
        (["ablations.variants.long.actions_to_execute=29"], ["'long'", "29", "horizon 30"]),
        (["ablations.variants={}"], ["ablations.variants"]),
        (["ablations.variants.a={model: {kv_mixng: false}}"], ["kv_mixng", "'kv_mixing'"]),
        (["ablations.variants.a={model: {flow_samples: 0}}"], ["variants", "flow_samples"]),
        (["ablations.variants.a={model: {fast_vocabulary: 9}}"], ["variants.a", "fast_vocabulary"]),
        (["ablations.variants.a={modle: {kv_mixing: false}}"], ["'modle'", "mean 'model'"]),
        (["ablations.variants.a={model: false}"], ["a.model = False", "overrides"]),
        (["ablations.variants.a={model: {kv_mixing: true}}"], ["changes nothing", "model"]),
        (
            ["ablations.variants.a={inpainting: false, run: {batch_size: 32}}"],
            ["changes nothing", "(run)"],
        ),
        (["ablations.variants.a={run: {stepz: 9}}"], ["'stepz'", "mean 'steps'"]),
        (["ablations.variants.a={run: {model: {}}}"], ["taken run key 'model'"]),
        (["ablations.variants.a={run: {devices: 3}}"], ["variants.a.run", "multiples of 3"]),
        (["ablations.variants.a={statistics: {horizon: 9}}"], ["'horizon'", "delta_actions"]),
        (["ablations.variants.a={statistics: {per_timestep: 3}}"], ["statistics.per_timestep = 3"]),
        (["ablations.variants.untrained={run: {steps: 9}}"], ["variants.untrained", "another"]),
        (
            [
                "tasks=[turning_on_radio]",
                "evaluations.trained.policy={turning_on_radio: main}",
                "ablations.variants.a={run: {steps: 9}}",
            ],
            ["variants.a", "trained anew", "one run"],
        ),
        (["runs.main.statistics.horizon=9"], ["runs.main.statistics", "'horizon'"]),
        (["ablations.bases=trained"], ["ablations.bases", "did you mean 'base'"]),
    ],
)
def test_errors_name_what_is_wrong(overrides: list[str], parts: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(DEMO, [*ABLATION, *overrides])
    for part in parts:
        assert part in str(caught.value)


def test_an_unknown_evaluation_lists_the_ablations_too() -> None:
    settings = load_settings(DEMO, ABLATION)
    with pytest.raises(SettingsError, match="did you mean 'blind'"):
        settings.evaluation("blinded")
