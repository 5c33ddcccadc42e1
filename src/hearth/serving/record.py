"""The file by which the clients of a shared policy server find it.

It holds an API key, so only its owner may read it: a file that others could read or could have
written is refused.
"""

from __future__ import annotations

import os
import stat
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hearth.core.errors import DataError, ServingError
from hearth.core.files import read_json, write_private_json


@dataclass(frozen=True)
class ServerRecord:
    """A shared policy server.

    Attributes:
        host, port: where it listens.
        key: the API key that its clients send.
        policy_hash: of the bundle that it serves.
        job: which job it is, for people.
    """

    host: str
    port: int
    key: str = field(repr=False)
    policy_hash: str
    job: str

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port


def write_record(path: Path, record: ServerRecord) -> None:
    """Write the file with mode 600; the record of an earlier server is replaced."""
    write_private_json(path, asdict(record))


def remove_record(path: Path, record: ServerRecord) -> None:
    """Remove the file unless another server has written its own since."""
    try:
        if read_record(path) != record:
            return
    except ServingError:
        return
    path.unlink(missing_ok=True)


def read_record(path: Path) -> ServerRecord | None:
    """The server that the file names; None if there is no file.

    Raises:
        ServingError: the file is another user's, others may read or write it, or it is no record.
    """
    try:
        facts = path.stat()
        values: Any = read_json(path)
    except FileNotFoundError:
        return None
    except (OSError, DataError) as error:
        if not path.exists():  # its server has just ended
            return None
        raise ServingError(f"{path} cannot be read: {error}") from error
    mode = stat.S_IMODE(facts.st_mode)
    if mode & 0o077 or facts.st_uid != os.getuid():
        raise ServingError(
            f"{path} holds an API key, has mode {mode:o} and belongs to user {facts.st_uid}; it "
            f"must have mode 600 and belong to user {os.getuid()}: remove it"
        )
    try:
        record = ServerRecord(**values)
    except TypeError as error:
        raise ServingError(f"{path} names no policy server ({error}); remove it") from error
    return record
