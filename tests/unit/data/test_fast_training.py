"""The tokenizer's tokens reach the loss and the curves: prepared episodes to TensorBoard."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hearth.core.results import Results
from hearth.core.settings import Settings, validate_settings
from hearth.data.prepare import prepare_task
from hearth.data.statistics import compute_statistics
from hearth.data.tokenizer import train_tokenizer
from hearth.policy import bundle as bundles
from hearth.training.loop import train
from hearth.training.scalars import read_lines

pytestmark = pytest.mark.xdist_group("training")
TASK = "turning_on_radio"
WEIGHT = 0.05  # report, 6.3.3


def test_fast_tokens_of_a_trained_tokenizer_are_learned(
    make_dataset: Callable[..., Settings],
) -> None:
    values = make_dataset({TASK: [24, 20]}, size=16, image_size=16).model_dump(mode="json")
    values |= {
        "tasks": [TASK],
        "model": {"flow_samples": 2, "fast_loss_weight": WEIGHT},
        "runs": {"main": {"steps": 2, "batch_size": 4, "warmup_steps": 1, "log_every": 1}},
    }
    settings = validate_settings(values, source="test")
    results = Results.of(settings)
    prepare_task(settings, TASK)
    statistics = compute_statistics(settings, (TASK,))
    statistics.save(results.statistics)
    tokenizer, _ = train_tokenizer(settings, (TASK,), statistics)
    tokenizer.save(results.tokenizer)
    train(settings, "main")

    lines = read_lines(results.run("main") / "metrics.jsonl")
    assert [line["step"] for line in lines] == [1, 2]
    weight = settings.model.stage_loss_weight
    for line in lines:
        assert line["fast"] > 0 and 0 <= line["fast_accuracy"] <= 1
        without = line["action"] + weight * line["stage"]
        assert line["total"] - without == pytest.approx(WEIGHT * line["fast"], rel=1e-3)
    events = EventAccumulator(str(results.tensorboard("main"))).Reload()
    for name in ("fast", "fast_accuracy"):
        shown = [event.value for event in events.Scalars(name)]
        assert shown == pytest.approx([line[name] for line in lines]), name
    kept = bundles.load(results.bundle("main")).tokenizer
    assert kept is not None and kept.as_dict() == tokenizer.as_dict()
