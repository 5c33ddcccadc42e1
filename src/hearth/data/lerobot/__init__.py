"""LeRobot data sets: v2.1 in the layout of the BEHAVIOR challenge 2025, v3.0 in that of 2026."""

from hearth.data.lerobot.dataset import Dataset
from hearth.data.lerobot.opening import open_dataset
from hearth.data.lerobot.tables import Table
from hearth.data.lerobot.writer import DatasetWriter, write_index
from hearth.data.lerobot.writer_v30 import write_v30

__all__ = ["Dataset", "DatasetWriter", "Table", "open_dataset", "write_index", "write_v30"]
