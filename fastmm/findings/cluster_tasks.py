"""How examinations are dealt to the threads of a dask cluster."""

from __future__ import annotations

__all__ = ["task_size"]

_MOST = 16  # examinations of a task: what is done again where a worker dies
_ROUNDS = 4  # tasks for each thread at least, so that none waits long for the slowest


def task_size(examinations: int, threads: int) -> int:
    """Return how many examinations a task takes.

    Examples
    --------
    >>> task_size(100, 8), task_size(10_000, 8), task_size(3, 8)
    (3, 16, 1)
    """
    return max(1, min(_MOST, examinations // (_ROUNDS * threads)))
