"""Ablations in the settings: named evaluations that share their base's episodes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hearth.benchmark import load_benchmark
from hearth.commands.checks import benchmark_of
from hearth.core.errors import SettingsError
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
