"""The evaluator's section of the settings: the official evaluator in the user's OmniGibson."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from hearth.core.errors import SettingsError
from hearth.core.files import hash_file
from hearth.core.sections import NonNegativeInt, PositiveFloat, PositiveInt, Section


class EvaluatorSettings(Section):
    """How the official evaluator of a challenge is started (docs/omnigibson.md).

    In `python`, `environment` and `stop`, {name} stands for a name of the process that no other
    has, {slot} for its number among those side by side, {gpu} for its entry of `gpus`.
    """

    # The words that start Python in the environment with OmniGibson: a path, conda, a container.
    python: Annotated[tuple[str, ...], Field(min_length=1)]
    # Variables of its processes, such as OMNIGIBSON_DATA_PATH.
    environment: dict[str, str] = Field(default_factory=dict)
    instances: str | None = None  # 2025: the challenge's test_instances.csv
    wrapper: str | None = None  # class of the environment's wrapper; None: the evaluator's choice
    robot_config: str | None = None  # 2026: file of the robot; None: the evaluator's R1Pro
    arguments: tuple[str, ...] = ()  # further words of the evaluator's command
    instances_per_process: PositiveInt = 10  # a scene loads for minutes; some versions take one
    gpus: tuple[NonNegativeInt, ...] = ()  # of the simulators, in turn; none: OmniGibson's choice
    policy_gpu: NonNegativeInt | None = None  # of the policy server; None: all that it sees
    memory_gigabytes: PositiveFloat | None = None  # resident, of one evaluator with its children
    grace_seconds: PositiveFloat = 10.0  # from the request to end until it is enforced
    stop: tuple[str, ...] = ()  # run where a process must be ended, e.g. docker kill {name}

    def identity(self) -> dict[str, Any]:
        """What decides what happens in an episode, and not only where and how fast it runs.

        Raises:
            SettingsError: there is no such file of the robot.
        """
        robot = None
        if self.robot_config is not None:
            path = Path(self.robot_config).expanduser()
            if not path.is_file():
                raise SettingsError(f"evaluator.robot_config: there is no file {path}")
            robot = hash_file(path)
        return {"wrapper": self.wrapper, "robot": robot, "arguments": list(self.arguments)}
