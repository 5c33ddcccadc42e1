"""Episodes, simulator workers, and the merge of a task's results."""
