"""LeRobot v2.1 in the layout of the BEHAVIOR challenge 2025: one folder per task."""

from hearth.data.lerobot.reader import Dataset, Table
from hearth.data.lerobot.writer import DatasetWriter, write_index

__all__ = ["Dataset", "DatasetWriter", "Table", "write_index"]
