"""Many clients at once: latency and throughput of the policy server, as ratios against serving
their predictions one at a time.

    python benchmarks/serving_load.py [--clients 64] [--requests 240] [--execute 12]

Two servers of the same untrained tiny network run side by side; one gathers requests into batches,
the other predicts for one request at a time. The same clients play against both in turns within one
run, so that a machine that others use slows both alike. Clients ask again as soon as an answer is
there. Of `--execute` requests one needs a prediction (1: each does). Any error ends the run.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import numpy as np
from serving_process import packed_observation, running_server, write_untrained_bundle
from websockets.asyncio.client import connect

from hearth.core.sections import ServingSettings
from hearth.serving import wire

RESET = wire.pack({"reset": True})


async def play(port: int, frame: bytes, requests: int, start: asyncio.Barrier) -> list[float]:
    """One client's latencies in seconds; all clients begin together."""
    found = []
    async with connect(f"ws://127.0.0.1:{port}", compression=None, proxy=None) as connection:
        await connection.recv()
        await connection.send(RESET)
        await start.wait()
        for _ in range(requests):
            started = time.perf_counter()
            await connection.send(frame)
            answer = await connection.recv()
            found.append(time.perf_counter() - started)
            if isinstance(answer, str):
                raise RuntimeError(f"the server refused a request: {answer}")
            action = wire.unpack(answer)["action"]
            if action.shape != (23,) or not np.isfinite(action).all():
                raise RuntimeError(f"the server gave no action: {action}")
    return found


async def load(port: int, clients: int, requests: int) -> tuple[np.ndarray, float]:
    """Latencies in seconds, and requests a second of all clients together."""
    start = asyncio.Barrier(clients + 1)
    frames = [packed_observation(seed) for seed in range(clients)]
    playing = [asyncio.create_task(play(port, frame, requests, start)) for frame in frames]
    await start.wait()
    started = time.perf_counter()
    found = await asyncio.gather(*playing)
    return np.concatenate(found), clients * requests / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--requests", type=int, default=240, help="of each client in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--execute", type=int, default=12, help="actions from each prediction")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=ServingSettings().batch_sizes)
    options = parser.parse_args()
    runtime = {"actions_to_execute": options.execute}
    latencies: dict[str, list[np.ndarray]] = {}
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        bundle = write_untrained_bundle(Path(folder))
        with (
            running_server(
                bundle, serving={"batch_sizes": options.batch_sizes}, runtime=runtime
            ) as batched,
            running_server(bundle, serving={"batch_sizes": [1]}, runtime=runtime) as single,
        ):
            ways = {
                "batched": (batched.port, options.clients),
                "one at a time": (single.port, options.clients),
                "a single client": (batched.port, 1),
            }
            for number in range(options.rounds + 1):
                for name, (port, clients) in ways.items():
                    requests = options.requests if number else options.execute
                    seconds, rate = asyncio.run(load(port, clients, requests))
                    if number:  # the first round warms up
                        latencies.setdefault(name, []).append(seconds)
                        rates.setdefault(name, []).append(rate)
    for name, found in latencies.items():
        p50, p99 = 1e3 * np.percentile(np.concatenate(found), [50, 99])
        print(
            f"{name:16} p50 {p50:8.1f} ms, p99 {p99:8.1f} ms, {np.median(rates[name]):8.1f} "
            f"requests/s ({ways[name][1]} clients, {sum(map(len, found))} requests, no error)"
        )
    ratios = np.divide(rates["batched"], rates["one at a time"])
    tails = [
        np.percentile(one, 99) / np.percentile(many, 99)
        for many, one in zip(latencies["batched"], latencies["one at a time"], strict=True)
    ]
    print(
        f"batched / one at a time: throughput {np.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}), p99 lower by {np.median(tails):.2f}"
    )


if __name__ == "__main__":
    main()
