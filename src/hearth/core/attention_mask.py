"""Which group of tokens sees which: what a bundle tells of its network's attention mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from hearth.core.errors import DataError, choices
from hearth.core.files import read_json, write_json

# All of a group; of the own group the token itself and those before it; nothing.
Sight = Literal["all", "causal", "none"]
_SIGHTS = get_args(Sight)


@dataclass(frozen=True)
class TokenGroup:
    """Tokens of one kind that lie next to each other."""

    name: str
    tokens: int


@dataclass(frozen=True)
class AttentionMask:
    """An attention mask by groups of tokens.

    Attributes:
        groups: in token order.
        sees: [query group][key group], what the tokens of a group see of another group.
    """

    groups: tuple[TokenGroup, ...]
    sees: tuple[tuple[Sight, ...], ...]

    @classmethod
    def of(cls, groups: Sequence[TokenGroup], mask: np.ndarray) -> AttentionMask:
        """The groups' view of bool[S, S], True where a query (row) sees a key (column).

        Raises:
            ValueError: the groups do not make up the S tokens, or a part of the mask between two
                groups is neither full nor empty nor causal.
        """
        ends = np.cumsum([group.tokens for group in groups])
        if mask.shape != (ends[-1], ends[-1]):
            raise ValueError(f"groups of {ends[-1]} tokens for a mask of shape {mask.shape}")
        parts = [np.split(rows, ends[:-1], axis=1) for rows in np.split(mask, ends[:-1])]
        sees: list[tuple[Sight, ...]] = [tuple(_sight(part) for part in row) for row in parts]
        return cls(tuple(groups), tuple(sees))

    def save(self, path: Path) -> None:
        groups = [{"name": group.name, "tokens": group.tokens} for group in self.groups]
        write_json(path, {"groups": groups, "sees": self.sees})

    @classmethod
    def load(cls, path: Path) -> AttentionMask:
        """Read what `save` wrote.

        Raises:
            DataError: the file is missing or damaged.
        """
        value = read_json(path)
        try:
            groups = tuple(TokenGroup(str(g["name"]), int(g["tokens"])) for g in value["groups"])
            sees: tuple[tuple[Any, ...], ...] = tuple(tuple(row) for row in value["sees"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path} is not the attention mask of a bundle ({error!r})") from error
        if [len(row) for row in sees] != [len(groups)] * len(groups):
            raise DataError(f"{path} has no square of its {len(groups)} groups under 'sees'")
        for sight in {sight for row in sees for sight in row} - set(_SIGHTS):
            raise DataError(f"{path} has '{sight}' under 'sees': {choices(sight, _SIGHTS)}")
        return cls(groups, sees)


def _sight(part: np.ndarray) -> Sight:
    if part.all():
        return "all"
    if not part.any():
        return "none"
    if np.array_equal(part, np.tri(*part.shape, dtype=bool)):
        return "causal"
    raise ValueError(f"a mask of shape {part.shape} between two groups is not of one kind")
