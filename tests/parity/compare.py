"""Compare hearth with recorded numbers of the public implementation, quantity by quantity.

    python tests/parity/compare.py tests/parity/golden/a

DIR is a full or trimmed set. The checkpoint comes in through hearth's importer. A line per quantity
gives the largest absolute difference, the same relative to the quantity's largest value, and
whether every entry is within the tolerance. Exits with 1 if any is not.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")  # GPUs would use TF32
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.parity.blocks import BLOCKS
from tests.parity.checks import HEADER, table
from tests.parity.golden import Golden
from tests.parity.reference_network import ReferenceNetwork


def main() -> int:
    """Run the blocks; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="a set of recorded numbers")
    parser.add_argument(
        "--block", action="append", choices=list(BLOCKS), help="only this block (may be repeated)"
    )
    parser.add_argument("--failed", action="store_true", help="show only what is out of tolerance")
    options = parser.parse_args()
    golden = Golden(options.folder)
    reference = ReferenceNetwork(golden)
    start, passed, failed = time.perf_counter(), 0, 0
    print(HEADER)
    for name in options.block or BLOCKS:
        checks = BLOCKS[name](golden, reference)
        passed += sum(check.passed for check in checks)
        failed += sum(not check.passed for check in checks)
        shown = [check for check in checks if not (options.failed and check.passed)]
        if shown:
            print(table(name, shown), flush=True)
    print(
        f"{golden.meta['name']}: {passed} quantities within tolerance, {failed} not "
        f"({time.perf_counter() - start:.0f} s)"
    )
    if not options.block:
        print(f"recorded, but not compared: {', '.join(golden.left_out()) or 'nothing'}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
