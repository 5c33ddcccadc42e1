"""`hearth launch evaluate` with the stand-in simulator and server: arguments RESULTS and JSON."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from evaluation_setup import BACKENDS, TASK, make_settings

from hearth.core.errors import HearthError
from hearth.core.files import write_json
from hearth.core.launching import LauncherSettings
from hearth.core.results import Results
from hearth.launch.launcher import launch
from hearth.launch.units import EvaluationUnit

HASH = "0123456789abcdef"


def main() -> int:
    # A shell that starts the tests in the background has switched Ctrl-C off.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    values = json.loads(sys.argv[2])
    launcher = LauncherSettings.model_validate(values.pop("launcher"))
    settings = make_settings(Path(sys.argv[1]), **values)
    settings = settings.model_copy(update={"launcher": launcher})
    provenance = Results.of(settings).bundle("main") / "provenance.json"
    if not provenance.exists():  # two launchers may both write it: the same, and at once
        write_json(provenance, {"hash": HASH})
    try:
        launch(EvaluationUnit(settings, "trained", TASK, BACKENDS), settings)
    except HearthError as error:
        print(f"hearth: {error}", file=sys.stderr)
        return 1
    from hearth.evaluation.merge import merge_and_write  # not while it waits

    print(json.dumps(merge_and_write(settings, "trained", TASK)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
