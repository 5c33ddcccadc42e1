"""Training and evaluation as jobs: submitted by submitit, adopted after a kill, waited for.

`launcher` is the loop; `units` say what work there is and which jobs do it; `executors` are the
two places where jobs run; `work` is what happens inside a job.
"""
