"""Stands in for the official evaluators: their command lines, wire and files, without a simulator.

Copied into a made-up OmniGibson as ``learning/eval.py`` (2025, hydra's overrides) and
``eval/eval.py`` (2026, options). It knows nothing of hearth and packs its messages by itself.

The environment variable STANDIN names a folder. A file `start` in it holds a fault of the start-up,
`instance_<id>` one of an instance, `once_<id>` one that happens once, `end` stands for a crash
after the last result; `played` lists what was begun. `wait` stops until there is a file `go`.
"""

import argparse
import csv
import json
import os
import pathlib
import signal
import socket
import struct
import sys
import time
import urllib.request

import msgpack
from websockets.sync.client import connect

STEPS = 3
BATCH_OPTIONS = ()  # 3.9.3 has one more
FAULTS = pathlib.Path(os.environ["STANDIN"])


def floats(values, shape):
    """An array as numpy's clients pack it."""
    data = struct.pack(f"<{len(values)}f", *values)
    return {b"__ndarray__": True, b"data": data, b"dtype": "<f4", b"shape": shape}


def tensor(values, shape):
    """An array as the client of 2025 packs torch's tensors."""
    data = struct.pack(f"<{len(values)}f", *values)
    return {b"__torch__": True, b"data": data, b"dtype": "float32", b"shape": shape}


def number(packed):
    """The first number of an array that came back."""
    assert packed[b"dtype"] == "<f4" and list(packed[b"shape"]) in ([23], [1, 23]), packed
    return struct.unpack_from("<f", packed[b"data"])[0]


class Policy:
    """The evaluator's side of the wire."""

    def __init__(self, host, port):
        while True:
            with urllib.request.urlopen(f"http://{host}:{port}/healthz") as answer:
                if answer.read() == b"OK\n":
                    break
        self.place = f"ws://{host}:{port}"
        self.connect()

    def connect(self):
        self.socket = connect(self.place, compression=None, max_size=None, proxy=None)
        assert isinstance(msgpack.unpackb(self.socket.recv()), dict)

    def reconnect(self):
        """As after a fault of the network: without a goodbye, and without a reset."""
        self.socket.socket.shutdown(socket.SHUT_RDWR)
        self.connect()

    def reset(self):
        self.socket.send(msgpack.packb({"reset": True}))

    def act(self, observation):
        self.socket.send(msgpack.packb(observation))
        answer = self.socket.recv()
        if isinstance(answer, str):
            raise RuntimeError(f"Error in inference server:\n{answer}")
        return number(msgpack.unpackb(answer, strict_map_key=False)["action"])


def fault_of(*names):
    for name in names:
        path = FAULTS / name
        if path.exists():
            fault = path.read_text()
            if name.startswith("once"):
                path.unlink()
            return fault
    return ""


def misbehave(fault, result):
    """`result` is the file that the present episode would get."""
    if fault:
        print(f"about to {fault}", flush=True)
    if fault == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if fault == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if fault in ("hang", "deaf"):
        time.sleep(600)
    if fault == "wait":
        (FAULTS / f"waiting_{os.getpid()}").touch()
        while not (FAULTS / "go").exists():
            time.sleep(0.02)
    if fault == "raise":
        raise RuntimeError("the physics went wrong")
    if fault == "silence":
        sys.exit(0)
    if fault == "half":
        result.write_text('{"q_score": {"final": 0.')
        os.kill(os.getpid(), signal.SIGSEGV)
    if fault == "memory":
        keep = b"x" * 250_000_000
        time.sleep(600)
        print(len(keep))


class Film:
    """An mp4 whose sizes stand only when it is closed."""

    def __init__(self, path):
        self.path = path
        path.write_bytes(
            struct.pack(">I4s", 8, b"ftyp") + struct.pack(">I4s", 0, b"mdat") + b"film"
        )

    def close(self):
        boxes = [(b"ftyp", b""), (b"mdat", b"film"), (b"moov", b"index")]
        packed = [struct.pack(">I4s", 8 + len(data), name) + data for name, data in boxes]
        self.path.write_bytes(b"".join(packed))


def play(year, policy, task, instance, rollout, results, film):
    result = results / f"{task}_{instance}_{rollout}.json"
    with (FAULTS / "played").open("a") as log:
        log.write(f"{instance} {rollout} {os.getpid()} {os.environ.get('OMNIGIBSON_GPU_ID')}\n")
    policy.reset()
    recording, fault = Film(film) if film else None, ""
    for step in range(STEPS):
        if year == 2025:
            proprioception = tensor([float(step)] * 256, [256])
        else:
            proprioception = floats([float(step)] * 61, [1, 61])
        answer = policy.act({"robot_r1::proprio": proprioception})
        assert answer == step, f"the policy is at step {answer}, the simulator at {step}"
        if step == 1:
            fault = fault_of(f"instance_{instance}", f"once_{instance}")
            policy.reconnect() if fault == "reconnect" else misbehave(fault, result)
    q = 1.0 if instance % 2 else 0.5
    parts = {"base": 1.5, "left": 1.2, "right": float("inf")}
    metrics = {
        "agent_distance": {"base": 2.0, "left": 1.5, "right": 0.0},
        "normalized_agent_distance": parts,
        "q_score": {"final": q},
        "time": {"simulator_steps": STEPS, "simulator_time": STEPS / 30, "normalized_time": 1.6},
    }
    if year == 2026:
        known = {"task": task, "instance_id": instance, "rollout_id": rollout}
        metrics = {**known, "steps": STEPS, "success": q == 1.0, **metrics}
    if fault == "contradict":
        metrics["time"]["simulator_steps"] = 1_000_000
        if year == 2026:
            metrics["success"] = q != 1.0
    result.write_text(json.dumps(metrics, indent=2 if year == 2026 else None))
    if recording:
        recording.close()


def main_2025(words):
    options = dict(word.split("=", 1) for word in words)
    assert options["policy"] == "websocket" and options["headless"] == "true", options
    task, folder = options["task.name"], pathlib.Path(options["log_path"])
    table = pathlib.Path(os.environ["OMNIGIBSON_DATA_PATH"])
    table = table / "2025-challenge-task-instances" / "metadata" / "test_instances.csv"
    with table.open() as file:
        row = next(row for row in csv.reader(file) if row[1] == task)
    numbers = [int(number) for number in row[2].split(",")]
    instances = [numbers[index] for index in json.loads(options["eval_instance_ids"])]
    video = {"true": True, "false": False}[options["write_video"]]
    run(2025, options["model.host"], options["model.port"], task, instances, 1, folder, video)


def main_2026(words):
    parser = argparse.ArgumentParser()
    parser.add_argument("--task-name", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--robot-config")
    parser.add_argument("--instance-indices", type=int, nargs="+", default=[0])
    parser.add_argument("--mode", choices=("train", "public_test", "hidden_test"), default="train")
    parser.add_argument("--num-rollouts", type=int, default=1)
    parser.add_argument("--env-wrapper")
    parser.add_argument("--output-dir")
    parser.add_argument("--write-video", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--headless", action=argparse.BooleanOptionalAction, default=True)
    for option in BATCH_OPTIONS:
        parser.add_argument(option, type=int, default=1)
    options = parser.parse_args(words)
    assert all(0 <= index < 20 for index in options.instance_indices)
    first = {"public_test": 301, "hidden_test": 321}[options.mode]
    instances = [first + index for index in options.instance_indices]
    if BATCH_OPTIONS and len(instances) != options.num_envs:
        raise ValueError("Evaluation requires exactly one instance per logical environment")
    run(
        2026, options.host, options.port, options.task_name, instances, options.num_rollouts,
        pathlib.Path(options.output_dir), options.write_video,
    )  # fmt: skip


def run(year, host, port, task, instances, rollouts, folder, video):
    print("scene is loading", flush=True)
    misbehave(fault_of("start"), None)
    results = folder / ("metrics" if year == 2025 else "json")
    results.mkdir(parents=True)
    if video:
        (folder / "videos").mkdir()
    policy = Policy(host, port)
    policy.reset()
    for instance in instances:
        for rollout in range(rollouts):
            name = f"{task}_{instance}_{rollout}.mp4"
            film = folder / "videos" / name if video else None
            play(year, policy, task, instance, rollout, results, film)
    if (FAULTS / "end").exists():
        misbehave("segfault", None)


if __name__ == "__main__":
    (main_2025 if pathlib.Path(__file__).parent.name == "learning" else main_2026)(sys.argv[1:])
