"""Statistics of prepared episodes: one streaming pass per task, merged exactly.

Read `compute` first; then `accumulate` (the pass), `lagged` (the moments of all chunks),
`histogram` (quantiles), `partial` (the file of a task) and `merge` (the pooled value).
"""

from hearth.data.statistics.accumulate import GRIPPER_CLOSED, TaskAccumulator
from hearth.data.statistics.compute import (
    accumulate,
    bring_up_to_date,
    check_file,
    check_source,
    compute_statistics,
    identify,
    pool_tasks,
)
from hearth.data.statistics.histogram import DyadicHistogram
from hearth.data.statistics.lagged import LaggedMoments
from hearth.data.statistics.merge import Pooled, TaskCounts, counts_of, pool
from hearth.data.statistics.moments import Moments
from hearth.data.statistics.partial import STAGES, Identity, TaskStatistics

__all__ = [
    "GRIPPER_CLOSED",
    "STAGES",
    "DyadicHistogram",
    "Identity",
    "LaggedMoments",
    "Moments",
    "Pooled",
    "TaskAccumulator",
    "TaskCounts",
    "TaskStatistics",
    "accumulate",
    "bring_up_to_date",
    "check_file",
    "check_source",
    "compute_statistics",
    "counts_of",
    "identify",
    "pool",
    "pool_tasks",
]
