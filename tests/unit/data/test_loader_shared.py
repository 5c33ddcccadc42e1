"""Memory of loading processes: used again, but never while somebody holds what lies in it."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from hearth.data.loader.shared import Borrower, Lender, Loan

SHAPE = (2, 8, 8, 3)


def lent(lender: Lender, value: int) -> Loan:
    lender.allocate(SHAPE)[:] = value
    (loan,) = lender.lend()
    return loan


def test_memory_comes_back_when_nobody_holds_it() -> None:
    lender, borrower = Lender(), Borrower()
    first = lent(lender, 1)
    array = borrower.open(first)
    assert array.shape == SHAPE and array.dtype == np.uint8
    view = array[1, 2:, ::2]
    second = lent(lender, 2)
    assert second != first, "it is still held"
    del array
    third = lent(lender, 3)
    assert third not in (first, second), "a view holds it"
    assert (view == 1).all() and (borrower.open(third) == 3).all()
    assert lent(lender, 4) == third, "what nobody kept is lent again"
    del view
    again = lent(lender, 5)
    assert again == first and (borrower.open(again) == 5).all()


def test_what_is_not_lent_is_free_at_once() -> None:
    lender = Lender()
    lender.allocate(SHAPE)
    lender.allocate(SHAPE)
    lender.take_back()
    assert lender.lend() == []
    first, second = lent(lender, 1), lent(lender, 2)
    assert {first.descriptor, second.descriptor} == set(lender._memory), "no new memory"
    assert lent(lender, 3).descriptor not in (first.descriptor, second.descriptor)
    other = Lender()
    other.allocate((1, 8, 8, 3))
    assert other.lend()[0].shape == (1, 8, 8, 3)


def test_a_loading_process_that_ended_is_an_error() -> None:
    command = "from hearth.data.loader.shared import Lender as L; l = L(); l.allocate((3, 1)); "
    command += "import os; print(os.getpid(), l.lend()[0].descriptor)"
    ended = subprocess.run([sys.executable, "-c", command], capture_output=True, check=True)
    process, descriptor = map(int, ended.stdout.split())
    assert process != os.getpid()
    with pytest.raises(FileNotFoundError):
        Borrower().open(Loan(process, descriptor, (3, 1)))
