"""Comparisons of numbers and the table that shows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

# What one float32 rounding may do: phases of the stage's encoding reach 6283 rad, of the time's
# 1571 rad, so that jit and eager execution of the public code itself differ by as much.
ATOL, RTOL = 2e-5, 1e-4
FLOW = 5e-4
SINE_COSINE = 1e-3
FED_BY_SINE_COSINE = 3e-3
_IMPOSSIBLE = -1e8  # hearth masks logits with a large negative number, the public code with -inf


@dataclass(frozen=True)
class Check:
    """One compared quantity.

    Attributes:
        name: what was compared.
        difference: the largest absolute difference.
        relative: the same, relative to the largest value of the quantity.
        tolerance: what was allowed, in words.
        passed: whether every entry is within it.
    """

    name: str
    difference: float
    relative: float
    tolerance: str
    passed: bool


def close(
    name: str,
    ours: object,
    theirs: object,
    *,
    atol: float,
    rtol: float = 0.0,
    where: np.ndarray | None = None,
) -> Check:
    """Every entry within atol + rtol * |theirs|; `where` picks entries of the leading axes."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    tolerance = f"atol {atol:g}" + (f", rtol {rtol:g}" if rtol else "")
    if ours.shape != theirs.shape:
        return Check(name, np.inf, np.inf, f"shape {ours.shape} for {theirs.shape}", False)
    if where is not None:
        ours, theirs = ours[where], theirs[where]
    impossible = np.isneginf(theirs)
    if (ours[impossible] > _IMPOSSIBLE).any():
        return Check(name, np.inf, np.inf, "impossible entries are not masked", False)
    ours, theirs = np.where(impossible, 0.0, ours), np.where(impossible, 0.0, theirs)
    difference = np.abs(ours - theirs)
    passed = bool((difference <= atol + rtol * np.abs(theirs)).all())  # False for NaN
    largest = float(difference.max(initial=0.0))
    scale = float(np.abs(theirs).max(initial=0.0))
    return Check(name, largest, largest / scale if scale else largest, tolerance, passed)


def close_to_rounding(name: str, ours: object, theirs: object) -> Check:
    """What no sine and cosine of large phases feeds: as close as float32 lets a network be."""
    return close(name, ours, theirs, atol=ATOL, rtol=RTOL)


def equal(name: str, ours: object, theirs: object) -> Check:
    """Every entry the same: masks, indices, counts, bytes."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape:
        return Check(name, np.inf, np.inf, f"shape {ours.shape} for {theirs.shape}", False)
    differing = float((ours != theirs).mean()) if ours.size else 0.0
    return Check(name, differing, differing, "equal", differing == 0.0)


def table(block: str, checks: Iterable[Check]) -> str:
    """Aligned lines, one per check."""
    return "\n".join(
        f"{block:<20} {check.difference:>9.2e} {check.relative:>9.2e}  "
        f"{'pass' if check.passed else 'FAIL'}  {check.tolerance:<24} {check.name}"
        for check in checks
    )


HEADER = f"{'block':<20} {'absolute':>9} {'relative':>9}  {'':<4}  {'tolerance':<24} quantity"
