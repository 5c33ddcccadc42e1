"""Axes of one or several arrays rearranged into others and back, from a line of axis names.

``"layers heads width head -> layers width (heads head)"`` reads: the left array has four axes,
the right one three, the last of which runs over heads and, faster, over the numbers of a head. A
side of several arrays begins with the axis ``parts``: one array per index of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

_PARTS = "parts"
Sizes = Mapping[str, int]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Side:
    """The arrays on one side: every axis of the array is a group of named axes."""

    groups: tuple[tuple[str, ...], ...]
    arrays: int

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """All named axes in order, groups opened."""
        return tuple(name for group in self.groups for name in group)

    def shape(self, sizes: Sizes) -> Shape:
        """The shape of each array of this side."""
        groups = self.groups[1:] if self.arrays > 1 else self.groups
        return tuple(math.prod(sizes[name] for name in group) for group in groups)

    def join(self, arrays: Sequence[np.ndarray], sizes: Sizes) -> np.ndarray:
        """The arrays as one with an axis per name."""
        whole = np.stack(arrays) if self.arrays > 1 else arrays[0]
        return whole.reshape([sizes[name] for name in self.axes])

    def split(self, whole: np.ndarray, sizes: Sizes) -> list[np.ndarray]:
        """The inverse of `join`."""
        shape = self.shape(sizes)
        pieces = list(whole) if self.arrays > 1 else [whole]
        return [piece.reshape(shape) for piece in pieces]


@dataclass(frozen=True)
class Layout:
    """A rearrangement between two sides; exact in both directions."""

    left: Side
    right: Side

    @classmethod
    def parse(cls, text: str, left_arrays: int = 1, right_arrays: int = 1) -> Layout:
        """Read a line such as the module's example.

        Raises:
            ValueError: the sides do not have the same axes, or several arrays lack the axis
                ``parts`` in front.
        """
        left, right = (part.strip() for part in text.split("->"))
        sides = Side(_groups(left), left_arrays), Side(_groups(right), right_arrays)
        if sorted(sides[0].axes) != sorted(sides[1].axes):
            raise ValueError(f"both sides of '{text}' must have the same axes")
        for side in sides:
            if side.arrays > 1 and side.groups[0] != (_PARTS,):
                raise ValueError(f"several arrays need '{_PARTS}' as the first axis: '{text}'")
        return cls(*sides)

    def to_right(self, arrays: Sequence[np.ndarray], sizes: Sizes) -> list[np.ndarray]:
        """The arrays of the left side as those of the right; views where possible."""
        return _rearrange(arrays, self.left, self.right, sizes)

    def to_left(self, arrays: Sequence[np.ndarray], sizes: Sizes) -> list[np.ndarray]:
        """The inverse of `to_right`."""
        return _rearrange(arrays, self.right, self.left, sizes)


def _rearrange(
    arrays: Sequence[np.ndarray], source: Side, target: Side, sizes: Sizes
) -> list[np.ndarray]:
    whole = source.join(arrays, sizes)
    return target.split(whole.transpose([source.axes.index(name) for name in target.axes]), sizes)


def _groups(text: str) -> tuple[tuple[str, ...], ...]:
    groups: list[tuple[str, ...]] = []
    inside: list[str] | None = None
    for word in text.replace("(", " ( ").replace(")", " ) ").split():
        if word == "(":
            inside = []
        elif word == ")":
            groups.append(tuple(inside or ()))
            inside = None
        elif inside is None:
            groups.append((word,))
        else:
            inside.append(word)
    return tuple(groups)
