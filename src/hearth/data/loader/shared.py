"""Memory that a loading process shares with the trainer, lent for one batch and used again.

The kernel clears and maps every page of new memory at its first touch, which costs ten times what
writing it costs: so a loading process keeps what it lent, and lends it again
once the trainer has dropped the arrays in it. The memory has no name: nothing stays behind when the
processes end, however they end, and the size of /dev/shm does not matter. Linux only.
"""

from __future__ import annotations

import math
import mmap
import os
import weakref
from dataclasses import dataclass

import numpy as np

_LENT, _FREE = 1, 0


@dataclass(frozen=True)
class Loan:
    """Where an array lies: an open file of a process, with its state in the byte behind."""

    process: int
    descriptor: int
    shape: tuple[int, ...]


class Lender:
    """Memory of a loading process, as much as was ever lent at a time. One thread."""

    def __init__(self) -> None:
        self._memory: dict[int, mmap.mmap] = {}  # by open file
        self._made: list[Loan] = []

    def allocate(self, shape: tuple[int, ...]) -> np.ndarray:
        """uint8 of a shape; its content is whatever was there."""
        size = math.prod(shape)
        free = (
            descriptor
            for descriptor, memory in self._memory.items()
            if len(memory) == size + 1 and memory[size] == _FREE
        )
        descriptor = next(free, None)
        if descriptor is None:
            descriptor = os.memfd_create("batch")
            os.ftruncate(descriptor, size + 1)
            self._memory[descriptor] = mmap.mmap(descriptor, size + 1)
        memory = self._memory[descriptor]
        memory[size] = _LENT
        self._made.append(Loan(os.getpid(), descriptor, shape))
        return np.frombuffer(memory, np.uint8, size).reshape(shape)

    def lend(self) -> list[Loan]:
        """What was allocated since the last call, in order."""
        made, self._made = self._made, []
        return made

    def take_back(self) -> None:
        """Free what was allocated since `lend`: it will not be lent."""
        for loan in self.lend():
            self._memory[loan.descriptor][math.prod(loan.shape)] = _FREE


class Borrower:
    """The trainer's side: arrays in the memory of loading processes."""

    def __init__(self) -> None:
        self._memory: dict[tuple[int, int], mmap.mmap] = {}

    def open(self, loan: Loan) -> np.ndarray:
        """The lent array. The memory goes back when nobody holds the array or a view of it.

        Raises:
            OSError: the loading process has ended.
        """
        key, size = (loan.process, loan.descriptor), math.prod(loan.shape)
        if key not in self._memory:
            descriptor = os.open(f"/proc/{loan.process}/fd/{loan.descriptor}", os.O_RDWR)
            try:
                self._memory[key] = mmap.mmap(descriptor, size + 1)
            finally:
                os.close(descriptor)
        memory = self._memory[key]
        array = np.frombuffer(memory, np.uint8, size)
        # Views refer to the array that meets the memory, never past it.
        weakref.finalize(array, memory.__setitem__, size, _FREE).atexit = False
        return array.reshape(loan.shape)
