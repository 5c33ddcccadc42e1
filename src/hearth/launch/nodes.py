"""Whether the nodes of a cluster see this machine's files, and can be found by their names."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hearth.launch.queue import command

_LOOKED_UP = 16  # names at most: a name server that does not answer takes seconds for each
# File systems of one machine; what is not among them (nfs, lustre, gpfs, ...) may be shared.
_LOCAL = {"btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs", "zfs"}


@dataclass(frozen=True)
class Node:
    """A node of the cluster.

    Attributes:
        name: Slurm's.
        host: the name that the machine calls itself.
        address: where Slurm reaches it.
    """

    name: str
    host: str
    address: str


def nodes(partitions: Iterable[str]) -> list[Node]:
    """The nodes of some partitions.

    Raises:
        LaunchError: the cluster does not answer.
    """
    wanted = ",".join(sorted(set(partitions)))
    only = ["-p", wanted] if wanted else []
    return parse_nodes(command(["sinfo", "-h", "-N", *only, "-o", "%N|%n|%o"]))


def parse_nodes(text: str) -> list[Node]:
    """From sinfo's lines ``name|host|address``, which name a node once for every partition."""
    lines = (line.strip().split("|") for line in text.splitlines())
    return list(dict.fromkeys(Node(*parts) for parts in lines if len(parts) == 3))


def file_system_problems(found: Sequence[Node], mounts: str | None = None) -> list[str]:
    """Folders that jobs read and write but that other machines cannot see.

    Args:
        found: the nodes; nodes that are all this machine see all of it.
        mounts: what stands in /proc/self/mounts; None: read it, where there is one.
    """
    if all(_short(node.host) == _short(socket.gethostname()) for node in found):
        return []
    if mounts is None:
        path = Path("/proc/self/mounts")
        if not path.exists():
            return []
        mounts = path.read_text()
    said = []
    for what, folder in (("results and settings", Path.cwd()), ("Python", Path(sys.prefix))):
        kind = file_system(folder.resolve(), mounts)
        if kind in _LOCAL:
            said.append(
                f"{what}: {folder} lies on {kind}, a file system of this machine alone; nodes must "
                "see it at the same path: move the checkout to a shared one"
            )
    return said


def file_system(folder: Path, mounts: str) -> str:
    """The kind of the file system that `folder`, an absolute path, lies on; "" if none holds it."""
    found = {}
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split(" ")
        found[Path(point.replace("\\040", " "))] = kind  # the last mount at a place covers others
    return next((found[place] for place in (folder, *folder.parents) if place in found), "")


def unresolved(found: Sequence[Node]) -> list[str]:
    """Addresses among the first nodes' that this machine cannot find."""
    return [node.address for node in found[:_LOOKED_UP] if not _resolves(node.address)]


def _resolves(address: str) -> bool:
    try:
        socket.getaddrinfo(address, None)
    except OSError:
        return False
    return True


def _short(host: str) -> str:
    return host.partition(".")[0]
