"""Frames a second of the statistics of prepared episodes: the script `data_statistics.py`.

    OPENBLAS_NUM_THREADS=1 python benchmarks/statistics.py [--episodes 20] [--rows 400]

Python's own module `statistics` has this name, and a script's folder comes first where modules are
looked for. Whoever imports `statistics` from a script of this folder gets Python's.
"""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from pathlib import Path

if __name__ == "__main__":
    from data_statistics import main

    main()
else:
    path = Path(sysconfig.get_path("stdlib")) / "statistics.py"
    spec = importlib.util.spec_from_file_location(__name__, path)
    assert spec is not None and spec.loader is not None
    sys.modules[__name__] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[__name__])
