"""Statistics belong to the prepared episodes that they were made from."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hearth.benchmark import experiment_benchmark
from hearth.core.errors import StatisticsError
from hearth.core.sections import RunSettings
from hearth.core.settings import Settings
from hearth.data.prepare import prepare_task
from hearth.data.statistics import check_source, compute_statistics, pool_tasks

RADIO = "turning_on_radio"
Maker = Callable[..., Settings]


def test_statistics_belong_to_the_prepared_episodes(make_dataset: Maker) -> None:
    made = make_dataset({RADIO: [20, 30]})
    runs = {"absolute": RunSettings(statistics={"delta_actions": False})}
    config = made.model_copy(update={"runs": runs, "tasks": (RADIO,)})
    prepare_task(config, RADIO)
    benchmark = experiment_benchmark(config)
    full = compute_statistics(config, (RADIO,))
    check_source(full, config, benchmark)
    own = pool_tasks(config, (RADIO,), run="absolute").statistics
    check_source(own, config.for_run("absolute"), benchmark)
    data = config.data.model_copy(update={"keep_every": 2})
    prepare_task(config.model_copy(update={"data": data}), RADIO)
    with pytest.raises(StatisticsError, match=rf"another data set.*{full.source_hash}"):
        check_source(full, config, benchmark)
