"""A policy server under ordinary requests for long, then under malformed traffic; ends with code 1
if its memory grows, it dies, or one client's input reaches another's answers.

    python benchmarks/serving_soak.py [--requests 100000] [--frames 1000000]    (make soak)

Requests: eight clients play episodes of 100 steps, connecting anew for each. Memory is read after
a tenth and at the end. Malformed traffic: see `serving_fuzz.py`; a connection each, while a witness
plays the same episode over and over: its actions must stay what they were, bit for bit, which
batches of one size promise whoever shares them.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from serving_fuzz import MalformedFrames, send_malformed
from serving_process import (
    ServerProcess,
    observation,
    packed_observation,
    running_server,
    write_untrained_bundle,
)
from websockets.asyncio.client import ClientConnection, connect

from hearth.serving import wire

RESET = wire.pack({"reset": True})
CLIENTS, STEPS = 8, 100
WITNESS_PAUSE_SECONDS = 1 / 30  # as a robot's
ALLOWED_MEBIBYTES = 32.0  # of growth; one leaked request of ten would be some 350 MiB
REPORT_FRAMES = 20_000
PART = 500  # inputs between two counts
ROWS = 4  # of a prediction beside malformed traffic, some of which is predicted from as well


def open_client(port: int) -> connect:
    return connect(f"ws://127.0.0.1:{port}", compression=None, proxy=None)


async def episode(
    connection: ClientConnection, frame: bytes, steps: int, pause: float = 0.0
) -> np.ndarray:
    """The actions [steps, D] of one episode, with so many seconds between steps.

    Raises:
        RuntimeError: the server refused an observation.
    """
    await connection.send(RESET)
    actions = []
    for _ in range(steps):
        await connection.send(frame)
        answer = await connection.recv()
        if isinstance(answer, str):
            raise RuntimeError(f"the server refused a request: {answer}")
        actions.append(wire.unpack(answer)["action"])
        await asyncio.sleep(pause)
    return np.stack(actions)


async def soak(server: ServerProcess, requests: int) -> bool:
    """Ordinary episodes; whether memory stayed."""
    left = requests
    frames = [packed_observation(seed) for seed in range(CLIENTS)]

    async def play(frame: bytes) -> None:
        nonlocal left
        while left > 0:
            steps = min(STEPS, left)
            left -= steps
            async with open_client(server.port) as connection:
                await connection.recv()
                await episode(connection, frame, steps)

    async def watch() -> float:
        while left > 0.9 * requests:
            await asyncio.sleep(0.05)
        return server.memory

    started = time.monotonic()
    before, _ = await asyncio.gather(watch(), asyncio.gather(*map(play, frames)))
    growth = server.memory - before
    print(
        f"{requests} requests in {time.monotonic() - started:.0f} s: {before:.0f} MiB after a "
        f"tenth, {growth:+.1f} MiB at the end (allowed {ALLOWED_MEBIBYTES:+.0f})",
        flush=True,
    )
    return growth < ALLOWED_MEBIBYTES


async def fuzz(server: ServerProcess, count: int, seed: int) -> bool:
    """Malformed traffic beside a witness; whether that noticed nothing and memory stayed."""
    frame, keys = packed_observation(0), list(observation(0))
    ends: Counter[tuple[str, str]] = Counter()
    started, cpu = time.monotonic(), server.processor_seconds
    async with open_client(server.port) as witness:
        await witness.recv()
        expected = await episode(witness, frame, STEPS)

        async def flood(number: int) -> None:
            frames = MalformedFrames(frame, keys, seed + number)
            share = count // CLIENTS + (number < count % CLIENTS)
            for start in range(0, share, PART):
                sent = min(PART, share - start)
                ends.update(await asyncio.to_thread(send_malformed, server.port, frames, sent))

        flooding = asyncio.gather(*map(flood, range(CLIENTS)))
        same, episodes, reported, before = True, 0, 0, None
        while not flooding.done():
            found = await episode(witness, frame, STEPS, WITNESS_PAUSE_SECONDS)
            same = same and np.array_equal(found, expected)
            episodes += 1
            done = ends.total()
            if before is None and done > 0.1 * count:
                before = server.memory
            if done - reported >= REPORT_FRAMES:
                reported = done
                passed = time.monotonic() - started
                print(f"  {done} inputs, {passed:.0f} s, {server.memory:.0f} MiB", flush=True)
        await flooding
    growth = 0.0 if before is None else server.memory - before
    cpu = server.processor_seconds - cpu
    print(
        f"{ends.total()} malformed inputs in {time.monotonic() - started:.0f} s, "
        f"{1e3 * cpu / count:.2f} ms of the server's processor time each:"
    )
    for (kind, end), number in sorted(ends.items()):
        print(f"  {kind}, {end}: {number}")
    print(
        f"the witness played {episodes} episodes of {STEPS} steps beside them, its actions "
        f"{'stayed the same to the last bit' if same else 'CHANGED'}; memory {growth:+.1f} MiB",
        flush=True,
    )
    return same and growth < ALLOWED_MEBIBYTES and episodes > 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=100_000, help="0: none")
    parser.add_argument("--frames", type=int, default=1_000_000, help="0: none")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle = write_untrained_bundle(Path(folder))
        steady = unharmed = True
        if options.requests:
            with running_server(bundle, serving={}) as server:
                steady = asyncio.run(soak(server, options.requests))
        if options.frames:
            with running_server(bundle, serving={"batch_sizes": [ROWS]}) as server:
                unharmed = asyncio.run(fuzz(server, options.frames, options.seed))
    return 0 if steady and unharmed else 1


if __name__ == "__main__":
    sys.exit(main())
