"""What plays the two sides of an episode, in a module that a waiting launcher can afford."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hearth.evaluation.servers import SharedServerFile  # loads numpy and websockets


@dataclass(frozen=True)
class Backends:
    """What plays the two sides; tests put stand-ins here.

    Attributes:
        environment: ``module:function`` of the environment factory, None where the official
            evaluator of the challenge plays.
        server: command of the policy server without its port, None for the scripted expert.
        shared: the server that another job runs, in place of `server`.
    """

    environment: str | None
    server: tuple[str, ...] | None
    shared: SharedServerFile | None = None
