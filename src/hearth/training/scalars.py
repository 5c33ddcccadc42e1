"""Loss curves: TensorBoard events for people, JSON lines for reports."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore[attr-defined]
from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[attr-defined]
from tensorboard.summary.writer.record_writer import RecordWriter

from hearth.core.files import storing, write_text


class Scalars:
    """Writes the same numbers to both places; use as a context manager."""

    def __init__(self, events: Path, lines: Path, first_step: int) -> None:
        """
        Args:
            events: TensorBoard's folder.
            lines: the JSON lines file.
            first_step: where this process begins; what stands at later steps was lost with the
                process that wrote it and is taken back.

        Raises:
            StorageError: the disk is full, here and in `write`.
        """
        self._lines = lines
        _truncate(lines, first_step)
        # TensorBoard's own writer has a thread, which prints what went wrong instead of raising it.
        name = f"events.out.tfevents.{time.time():010.0f}.{socket.gethostname()}.{os.getpid()}"
        self._events = events / name
        with storing(self._events):
            events.mkdir(parents=True, exist_ok=True)
            self._file = self._events.open("ab", buffering=0)
            self._writer = RecordWriter(self._file)
        self._add(Event(file_version="brain.Event:2"))
        self._add(Event(step=first_step + 1, session_log=SessionLog(status=SessionLog.START)))

    def __enter__(self) -> Scalars:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def _add(self, event: Event) -> None:
        event.wall_time = time.time()
        with storing(self._events):
            self._writer.write(event.SerializeToString())

    def write(
        self, step: int, values: dict[str, float], measured: dict[str, float] | None = None
    ) -> None:
        """Record the values of one step; they can be read at once.

        `measured` goes to TensorBoard alone: it differs from one undisturbed run to the next.
        """
        shown = {**values, **(measured or {})}
        entries = [Summary.Value(tag=tag, simple_value=shown[tag]) for tag in sorted(shown)]
        self._add(Event(step=step, summary=Summary(value=entries)))
        with storing(self._lines), self._lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}, sort_keys=True) + "\n")


def read_lines(path: Path) -> list[dict[str, float]]:
    """The records of a JSON lines file, by step; a torn last line is left out."""
    if not path.is_file():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


def _truncate(path: Path, last_step: int) -> None:
    kept = [record for record in read_lines(path) if record["step"] <= last_step]
    write_text(path, "".join(json.dumps(record, sort_keys=True) + "\n" for record in kept))
