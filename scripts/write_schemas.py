"""Write the JSON schemas that editors and the tests read: one per settings file kind."""

from __future__ import annotations

import json
from pathlib import Path

from hearth.benchmark import Benchmark
from hearth.core.files import write_text
from hearth.core.settings import Settings

FOLDER = Path(__file__).resolve().parents[1] / "workflow" / "schemas"


def schemas() -> dict[str, str]:
    """File name -> content."""
    models = {"settings.schema.json": Settings, "benchmark.schema.json": Benchmark}
    return {
        name: json.dumps(model.model_json_schema(), indent=1, sort_keys=True) + "\n"
        for name, model in models.items()
    }


if __name__ == "__main__":
    for name, text in schemas().items():
        write_text(FOLDER / name, text)
        print(FOLDER / name)
