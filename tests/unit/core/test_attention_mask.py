from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hearth.core.attention_mask import AttentionMask, TokenGroup
from hearth.core.errors import DataError

GROUPS = (TokenGroup("images", 2), TokenGroup("FAST", 3))
MASK = np.array(
    [[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]], bool
)


def test_groups_see_all_nothing_or_what_came_before(tmp_path: Path) -> None:
    mask = AttentionMask.of(GROUPS, MASK)
    assert mask.sees == (("all", "none"), ("all", "causal"))
    mask.save(tmp_path / "mask.json")
    assert AttentionMask.load(tmp_path / "mask.json") == mask


@pytest.mark.parametrize("place", [(1, 0), (0, 2), (2, 3), (4, 2)])
def test_a_mask_that_groups_do_not_describe_is_refused(place: tuple[int, int]) -> None:
    mask = MASK.copy()
    mask[place] = not mask[place]
    with pytest.raises(ValueError, match="not of one kind"):
        AttentionMask.of(GROUPS, mask)
    with pytest.raises(ValueError, match=r"5 tokens for a mask of shape \(4, 4\)"):
        AttentionMask.of(GROUPS, MASK[1:, 1:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": [{"name": "images"}]}, "is not the attention mask of a bundle"),
        ({"sees": [["all", "none"]]}, "no square of its 2 groups"),
        ({"sees": [["all", "non"], ["all", "all"]]}, "'non' under 'sees': did you mean 'none'"),
        ({"sees": [["all", None], ["all", "all"]]}, "'None' under 'sees': "),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, change: dict, message: str) -> None:
    path = tmp_path / "mask.json"
    AttentionMask.of(GROUPS, MASK).save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=message):
        AttentionMask.load(path)
