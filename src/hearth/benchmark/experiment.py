"""The benchmark as an experiment uses it."""

from __future__ import annotations

from hearth.benchmark.benchmark import Benchmark, load_benchmark
from hearth.core.errors import SettingsError, choices
from hearth.core.settings import Settings


def experiment_benchmark(settings: Settings) -> Benchmark:
    """The benchmark that `settings` name, with the cameras that they choose and no others.

    Raises:
        SettingsError: no such benchmark or camera; the message lists the valid names.
    """
    benchmark = load_benchmark(settings.benchmark)
    for name in settings.cameras:
        if name not in benchmark.cameras:
            raise SettingsError(
                f"'cameras': unknown camera '{name}' in benchmark '{settings.benchmark}': "
                + choices(name, benchmark.cameras)
            )
    if not settings.cameras:
        return benchmark
    chosen = {name: benchmark.cameras[name] for name in benchmark.cameras
              if name in settings.cameras}  # fmt: skip
    return benchmark.model_copy(update={"cameras": chosen})
