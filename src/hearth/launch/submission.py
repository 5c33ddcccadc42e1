"""A process that submits one job array: `python -m hearth.launch.submission LAUNCHER`.

It ends with the process LAUNCHER, whose lock keeps others from submitting the same. Reads (folder,
parameters, works) from its input as a pickle of the launcher, and writes the ids of the jobs, or
why they were refused, as JSON.
"""

from __future__ import annotations

import json
import pickle
import sys

from submitit import SlurmExecutor
from submitit.core.utils import FailedJobError

from hearth.core.lifetime import end_with_parent


def main() -> None:
    """Submit."""
    end_with_parent(int(sys.argv[1]))
    folder, parameters, works = pickle.load(sys.stdin.buffer)
    # What submitit prints must not stand in the answer.
    answer, sys.stdout = sys.stdout, sys.stderr
    try:
        executor = SlurmExecutor(folder)
        executor.update_parameters(**parameters)
        ids = [job.job_id for job in executor.submit_array(works)]
        print(json.dumps({"ids": ids}), file=answer)
    except (FailedJobError, FileNotFoundError, RuntimeError) as error:
        print(json.dumps({"error": str(error).strip()}), file=answer)


if __name__ == "__main__":
    main()
