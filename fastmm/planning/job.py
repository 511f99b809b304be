"""What is to be planned: a counted study, and what is done with it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastmm.fusion.deep_fusion import FOLDS as NETWORK_FOLDS
from fastmm.planning.fit_costs import Fit
from fastmm.planning.sizes import StudySize

__all__ = ["FeatureSet", "Job", "feature_sets", "final_fit", "fit_of", "fold_count"]

_FOLDS = 10  # of patients; of numbers they are left out one by one up to so many
_SINGLY = 100


@dataclass(frozen=True)
class Job:
    """What is to be done.

    Attributes
    ----------
    size : StudySize
        What was counted.
    solver, fusion : str
        As in `MultimodalClassifier`.
    by : int
        Columns by whose levels scores are reported, too.
    threads : int or None
        Threads of a cluster that reads images and computes features; None: this machine does.
    """

    size: StudySize
    solver: str = "ridge"
    fusion: str = "stack"
    by: int = 0
    threads: int | None = None


@dataclass(frozen=True)
class FeatureSet:
    """Modalities that are validated together, and the share of rows that have one of them."""

    names: tuple[str, ...]
    share: float


def feature_sets(job: Job) -> list[FeatureSet]:
    """Return the sets of modalities that a study validates, as it chooses them."""
    from fastmm.findings.validation import Plan, plan_sets

    names = tuple(job.size.widths)
    if job.size.numbers:
        chosen = [(name,) for name in names] + ([names] if len(names) > 1 else [])
    else:
        plan = Plan(dict.fromkeys(names), (job.solver,), job.fusion, False)
        chosen = [own for _, own in plan_sets(plan)[0]]
    present = {i.name: i.examinations / max(job.size.rows, 1) for i in job.size.images}
    present |= {table.name: 1.0 for table in job.size.tables}
    return [FeatureSet(own, 1 - math.prod(1 - present[name] for name in own)) for own in chosen]


def fold_count(job: Job, patients: float) -> tuple[int, int]:
    """Return how many folds validation deals patients into for a set of features, how often.

    Examples
    --------
    >>> from fastmm.planning.sizes import StudySize
    >>> [fold_count(Job(StudySize(n, n)), n) for n in (8, 80, 500)]
    [(8, 1), (10, 3), (10, 2)]
    """
    from fastmm.findings.validation import deal_times

    count = max(2, round(patients))
    if job.solver == "deep":
        return min(NETWORK_FOLDS, count), 1
    if job.size.numbers:
        return (count if count <= _SINGLY else _FOLDS), 1
    return min(_FOLDS, count), deal_times(count) if count > _FOLDS else 1


def final_fit(job: Job) -> Fit:
    """Return the fit of all rows and modalities."""
    return fit_of(job, tuple(job.size.widths), float(job.size.fit_rows))


def fit_of(job: Job, names: tuple[str, ...], rows: float) -> Fit:
    """Return the fit of some modalities to some rows."""
    size = job.size
    fusion = "stack" if job.fusion == "late" and len(names) == 1 else job.fusion
    widths = {name: width for name, width in size.widths.items() if name in names}
    columns = sum(table.columns for table in size.tables if table.name in names)
    targets = 1 if size.classes <= 2 else size.classes
    return Fit(rows, widths, job.solver, fusion, targets, columns)
