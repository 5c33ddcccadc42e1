"""Policies without a network, and servers of them in this process or another one."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hearth.core.errors import ServingError
from hearth.serving.server import open_server, serve

LEAKED: list[bytes] = []


class FakePolicy:
    """action = [task_id, steps since reset, sum of 'image', 0, ...]; misbehaves when told to."""

    def reset(self) -> None:
        self.steps = 0

    def act(self, observation: dict) -> np.ndarray:
        order = observation.get("order", "")
        if order == "sleep":
            time.sleep(1.5)
        if order == "leak":
            LEAKED.append(b"x" * 2**17)
        if order == "raise":
            raise ValueError("division of a robot")
        if order == "refuse":
            raise ServingError("the observation lacks 'robot_r1::proprio'")
        action = np.zeros(23, np.float32)
        action[0] = np.asarray(observation.get("task_id", [-1])).reshape(-1)[0]
        action[1] = np.nan if order == "nan" else self.steps
        action[2] = np.sum(observation.get("image", 0.0))
        self.steps += 1
        return action


@contextlib.contextmanager
def served(make_policy: Any, ports: Sequence[int] = (0,), **options: Any) -> Iterator[list[int]]:
    """A server in a thread of this process; its ports."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def wait(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(60)

    server = open_server(make_policy, "127.0.0.1", ports, **options)
    try:
        yield wait(server.__aenter__())
        wait(server.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


if __name__ == "__main__":
    serve(
        FakePolicy, "127.0.0.1", int(sys.argv[2]),
        metadata={"policy": "fake"}, ready_file=Path(sys.argv[1]),
    )  # fmt: skip
