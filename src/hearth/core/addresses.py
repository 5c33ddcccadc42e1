"""Addresses on a cluster's network, where names of nodes need not resolve."""

from __future__ import annotations

import os
import socket


def own_address() -> str:
    """The address of this node on the network that its Slurm job was started over.

    Outside of Slurm it is the loopback address.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Nothing is sent: connecting only chooses the interface.
        probe.connect((os.environ.get("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1"), 9))
        return probe.getsockname()[0]
