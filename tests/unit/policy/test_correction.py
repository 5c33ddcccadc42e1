from __future__ import annotations

import numpy as np

from hearth.policy.correction import correct, failed_grasps

GRIPPERS = (14, 22)


def state(left: float, right: float) -> np.ndarray:
    values = np.arange(23, dtype=np.float32) / 100
    values[[14, 22]] = left, right
    return values


def test_closed_only_counts_where_it_was_never_closed() -> None:
    closed = np.array([True, False])
    assert failed_grasps(state(-1, -1), closed, GRIPPERS).tolist() == [False, True]
    assert failed_grasps(state(-1, -0.97), closed, GRIPPERS).tolist() == [False, False]


def test_the_chunk_becomes_the_state_with_that_hand_open() -> None:
    now, chunk = state(-1, -1), np.full((30, 23), 9.0, np.float32)
    out = correct(chunk, now, np.array([False, True]), GRIPPERS)
    assert (out[:, 22] == 1).all() and (out[:, 14] == -1).all()
    others = [d for d in range(23) if d != 22]
    np.testing.assert_array_equal(out[:, others], np.tile(now[others], (30, 1)))
    assert (chunk == 9.0).all(), "the prediction itself is not changed"


def test_no_failed_hand_leaves_the_chunk() -> None:
    chunk = np.full((30, 23), 9.0, np.float32)
    assert correct(chunk, state(1, 1), np.array([False, False]), GRIPPERS) is chunk
