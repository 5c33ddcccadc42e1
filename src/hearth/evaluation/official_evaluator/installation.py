"""Which OmniGibson the user's environment holds: its version, its place, what it understands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hearth.core.errors import EvaluationError
from hearth.core.evaluator import EvaluatorSettings
from hearth.evaluation.official_evaluator.facts import EvaluatorFacts, fill
from hearth.evaluation.official_evaluator.process import end, guarded

_MARK = "omnigibson found: "  # conda and containers print lines of their own
_OPTION = re.compile(r"[\"'](--[a-z][a-z-]+)[\"']")
_LAST_LINES = 10
# Runs in the user's Python. OmniGibson is not imported: that takes minutes and a GPU. The version
# is read from the source, since the installed metadata stay behind when a checkout is updated.
_QUESTION = """
import importlib.util, json, pathlib, re, sys
found = importlib.util.find_spec("omnigibson")
if found is None or found.origin is None:
    sys.exit("there is no omnigibson in " + sys.prefix)
package = pathlib.Path(found.origin).parent
version = re.search(r"__version__\\s*=\\s*[\\"']([^\\"']+)", pathlib.Path(found.origin).read_text())
source = package / sys.argv[1]
print(sys.argv[2] + json.dumps({
    "package": str(package),
    "version": version.group(1) if version else None,
    "source": source.read_text() if source.is_file() else None,
}))
"""


@dataclass(frozen=True)
class Installation:
    """An OmniGibson that was found fit.

    Attributes:
        package: its folder, as the evaluator's processes see it.
        version: what it says of itself.
        batch: whether its evaluator plays all instances of a process at once.
    """

    package: str
    version: str
    batch: bool


def inspect(
    facts: EvaluatorFacts, settings: EvaluatorSettings, deadline_seconds: float
) -> Installation:
    """Ask the user's Python for its OmniGibson.

    Raises:
        EvaluationError: it cannot be started, holds none, or one of another version.
    """
    found = _ask(facts, settings, deadline_seconds)
    version, place = found["version"], found["package"]
    if version is None or not _supported(version, facts.versions):
        raise EvaluationError(
            f"OmniGibson {version or 'of unknown version'} in {place} is no supported evaluator of "
            f"{facts.year}; valid versions: {', '.join(facts.versions)}"
        )
    if found["source"] is None:
        raise EvaluationError(
            f"OmniGibson {version} in {place} has no {facts.source}, the evaluator of "
            f"{facts.year}; install it from a checkout of BEHAVIOR-1K with its evaluation extras"
        )
    known = set(_OPTION.findall(found["source"]))
    unknown = sorted(facts.options() - known)
    if unknown:
        raise EvaluationError(
            f"the evaluator {place}/{facts.source} of OmniGibson {version} does not know "
            f"{', '.join(unknown)}; valid versions: {', '.join(facts.versions)}"
        )
    batch = any(word in known for word in facts.batch if word.startswith("--"))
    return Installation(place, version, batch)


def _ask(
    facts: EvaluatorFacts, settings: EvaluatorSettings, deadline_seconds: float
) -> dict[str, Any]:
    values = {"name": f"hearth-question-{os.getpid()}", "slot": 0, "gpu": _first(settings.gpus)}
    python = start_words(settings, values)
    if shutil.which(python[0]) is None:
        raise EvaluationError(
            f"evaluator.python {' '.join(python)} cannot be used: there is no program {python[0]}"
        )
    # One line: conda repeats the command after an error, which must not bury what is said there.
    question = [*python, "-c", f"exec({_QUESTION!r})", facts.source, _MARK]
    grace = settings.grace_seconds
    asked = subprocess.Popen(
        guarded(question, grace, fill(settings.stop, values)),
        env={**os.environ, **variables(settings, values)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        errors="replace",
    )  # fmt: skip
    try:
        said, complained = asked.communicate(timeout=deadline_seconds)
    except subprocess.TimeoutExpired as error:
        raise EvaluationError(
            f"evaluator.python {' '.join(python)} cannot be used: it said nothing of its "
            f"OmniGibson for {deadline_seconds:g} s"
        ) from error
    finally:
        end(asked, grace)
    for line in said.splitlines():
        if line.startswith(_MARK):
            return json.loads(line.removeprefix(_MARK))
    lines = (said + complained).strip().splitlines()[-_LAST_LINES:]
    raise EvaluationError(
        f"evaluator.python {' '.join(python)} has no OmniGibson (exit code {asked.returncode}):\n"
        + "\n".join(lines)
    )


def start_words(settings: EvaluatorSettings, values: dict[str, Any]) -> list[str]:
    """The words that start the user's Python; a leading ~ is the home folder."""
    first, *others = fill(settings.python, values)
    return [os.path.expanduser(first), *others]  # noqa: PTH111  a word, not always a path


def variables(settings: EvaluatorSettings, values: dict[str, Any]) -> dict[str, str]:
    """The variables of the user's processes."""
    return {name: fill([text], values)[0] for name, text in settings.environment.items()}


def _first(gpus: Sequence[int]) -> int:
    return gpus[0] if gpus else 0


def _supported(version: str, valid: Sequence[str]) -> bool:
    """Whether it is one of the valid versions or a post-release of one: 3.9.3.post2 of 3.9.3."""
    return any(re.fullmatch(re.escape(item) + r"([.+-].*)?", version) for item in valid)
