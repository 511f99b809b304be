"""What reading images and computing features takes on the workers of a dask cluster."""

from __future__ import annotations

from typing import NamedTuple

from fastmm.findings.cluster_tasks import task_size
from fastmm.planning import rates
from fastmm.planning.image_costs import feature_work, reading_work
from fastmm.planning.machines import Machine
from fastmm.planning.sizes import ImageSize
from fastmm.planning.work import Work

__all__ = ["Tasks", "cluster_seconds", "tasks_of"]


class Tasks(NamedTuple):
    """How the examinations of a modality are dealt to threads.

    Parameters
    ----------
    size : int
        Examinations of a task.
    number : int
        Tasks.
    rounds : int
        Tasks that a thread does at most, one after the other.
    """

    size: int
    number: int
    rounds: int


def tasks_of(examinations: int, threads: int) -> Tasks:
    """Return how examinations are dealt.

    Examples
    --------
    >>> tasks_of(100, 8)
    Tasks(size=3, number=34, rounds=5)
    """
    size = task_size(examinations, threads)
    number = -(-examinations // size)
    return Tasks(size, number, -(-number // threads))


def cluster_seconds(image: ImageSize, host: Machine, threads: int) -> float:
    """Return the time of a modality where each thread has a core like those here.

    Threads work beside each other, storage serves all of them at its one rate, and this
    machine deals the tasks and collects their features.
    """
    if not image.examinations:
        return 0.0
    tasks = tasks_of(image.examinations, threads)
    whole = (reading_work(image) + feature_work(image)).on_one_core()
    done = min(1.0, tasks.rounds * tasks.size / image.examinations)  # the busiest thread's share
    waited = Work(stored=whole.stored).seconds(host)
    computed = (done * Work(lone_steps=whole.lone_steps, lone_moved=whole.lone_moved)).seconds(host)
    return max(waited, computed) + tasks.number * rates.TASK
