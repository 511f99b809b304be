"""Parts of the planner: what is counted, what it costs on a machine, and whether it fits."""
