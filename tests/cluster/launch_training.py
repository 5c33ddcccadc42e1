"""`hearth launch train` of a tiny network on made-up batches: arguments RESULTS and JSON.

JSON holds `run` and `launcher` (settings), `seconds` (of a batch) and `poisoned` (the number of a
batch that the last process reads as no numbers).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearth.core.errors import HearthError
from hearth.core.launching import LauncherSettings
from hearth.core.settings import Settings, load_settings
from hearth.launch.launcher import launch
from hearth.launch.units import TrainingUnit
from hearth.launch.work import TrainingJob, keep_compiled


@dataclass(frozen=True)
class SmallTraining(TrainingJob):
    """As the real job, but with batches that need no demonstrations."""

    seconds: float = 0.0
    poisoned: int = -1

    def _train(self) -> None:
        settings = load_settings(Path(self.config))
        keep_compiled(settings)
        from hearth.core.results import Results
        from hearth.training import processes
        from hearth.training.loop import fit
        from tests.unit.training.conftest import make_job

        processes.join(Results.of(settings).run("main"), 120.0)
        fit(make_job(settings, self._batches))

    def _batches(self, start: int) -> Iterator[dict[str, Any]]:
        """This process's slice of every batch."""
        import time

        import jax

        from tests.unit.training.conftest import BATCH, make_batch

        number, count = jax.process_index(), jax.process_count()
        share, step = BATCH // count, start
        while True:
            time.sleep(self.seconds)
            batch = make_batch(step, BATCH)
            if step == self.poisoned and number == count - 1:
                batch["state"][-1] = float("nan")
            mine = slice(number * share, (number + 1) * share)
            yield {
                key: {camera: images[mine] for camera, images in value.items()}
                if isinstance(value, dict)
                else value[mine]
                for key, value in batch.items()
            }
            step += 1


class SmallUnit(TrainingUnit):
    """The run, done by `SmallTraining`."""

    def __init__(self, settings: Settings, seconds: float, poisoned: int) -> None:
        super().__init__(settings, "main")
        self.batches = {"seconds": seconds, "poisoned": poisoned}

    def works(self, pieces: Any, most: int) -> tuple[list[TrainingJob], int]:
        requeue = self.resources.requeue
        return [SmallTraining(self.config, self.run, self.key, requeue, **self.batches)], 0


def main() -> int:
    from tests.unit.training.conftest import make_settings

    values = json.loads(sys.argv[2])
    settings = make_settings(Path(sys.argv[1]), **values["run"])
    launcher = LauncherSettings.model_validate(values["launcher"])
    settings = settings.model_copy(update={"launcher": launcher})
    unit = SmallUnit(settings, values.get("seconds", 0.0), values.get("poisoned", -1))
    try:
        launch(unit, settings)
    except HearthError as error:
        print(f"hearth: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    # Jobs must find the classes by the module's name.
    from tests.cluster import launch_training

    sys.exit(launch_training.main())
