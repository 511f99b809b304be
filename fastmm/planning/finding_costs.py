"""What a study's tests of its scores cost: intervals, permutations, learning curves."""

from __future__ import annotations

from fastmm.planning import rates
from fastmm.planning.fit_costs import Fit
from fastmm.planning.job import Job
from fastmm.planning.work import Work

__all__ = ["curve_work", "interval_work", "permutation_work", "report_work"]

_FEW = 400  # rows up to which a learning curve takes one thread
_PENALTIES, _MACHINES = 13, 7  # that are tried for each permutation, of ridge and of an LS-SVM


def interval_work(job: Job, rows: float) -> Work:
    """Return the work of a set's scores with intervals over resampled patients.

    Examples
    --------
    >>> from fastmm.planning.sizes import StudySize
    >>> few, many = (interval_work(Job(StudySize(n, n)), n).lone_steps for n in (1000, 4000))
    >>> 3 < many / few < 4
    True
    """
    from fastmm.findings.scoring import RESAMPLES

    drawn = RESAMPLES * rows
    if job.size.numbers:
        return Work(lone_steps=rates.SCORES + 2 * rates.DRAWN * drawn)
    if job.size.classes <= 2:
        return Work(lone_steps=rates.SCORES + rates.SCORED * drawn)
    # All classes together, and each against the rest.
    each = rates.SCORES + (rates.SCORED + rates.AREA) * drawn
    return Work(lone_steps=2 * rates.DRAWN * drawn) + job.size.classes * Work(lone_steps=each)


def permutation_work(fit: Fit, rows: float, patients: float) -> Work:
    """Return the work of a set's p-value; `rows` are examinations, those of `fit` may be slices.

    One factorisation and a right-hand side for each patient serve all permutations; what is
    left is an area for each penalty and permutation. Where a fit has no closed form, the scores
    stay what they are, and there is one area a permutation.
    """
    from fastmm.findings.permuting import PERMUTATIONS

    several = fit.fusion == "late" and len(fit.widths) > 1
    if fit.solver in ("svm", "deep") or several:
        return Work(lone_steps=rates.SOLVE + rates.PERMUTED * PERMUTATIONS * rows * fit.targets)
    n, d, sides = fit.rows, fit.width, min(patients, float(PERMUTATIONS * fit.targets))
    moved = 2.0 * PERMUTATIONS * fit.targets * sides * n
    areas = Work(flops=moved, lone_steps=rates.PERMUTED * PERMUTATIONS * n * fit.targets)
    if fit.form == "linear":
        m = min(n, d)
        each = Work(flops=2.0 * n * m * sides) + areas
        return (
            Work(flops=n * d * m + rates.EIGH * m**3 + 2.0 * n * m * m, lone_steps=_design(fit))
            + (1 if fit.solver == "linear" else _PENALTIES) * each
        )
    gram = Work(flops=2.0 * n * n * d, lone_steps=_design(fit) + rates.JOINT_ELEMENT * n * n)
    one = Work(flops=2 / 3 * n**3 + 4.0 * n * n * sides, lone_steps=rates.MACHINE_ELEMENT * n * n)
    return gram + _MACHINES * (one + areas)


def curve_work(fit: Fit, patients: float) -> Work:
    """Return the work of a set's learning curve: refits in closed form, few patients first."""
    from fastmm.findings.learning import CURVE_FOLDS, MOST_ROWS, curve_sizes, draw_count

    if fit.solver == "deep":
        return Work()
    n = min(fit.rows, float(MOST_ROWS))
    count = max(2, round(patients * n / fit.rows))
    slower = Work()
    for size in curve_sizes(count, max(2, fit.targets)):
        m = size * n / count
        penalties = 1 if fit.solver == "linear" else _PENALTIES
        slower += Work(
            flops=rates.EIGH * m**3,
            lone_steps=rates.CURVE_FIT + rates.CURVE_ELEMENT * penalties * m * m,
        )
    found = Work(flops=2.0 * n * n * fit.width, lone_steps=_design(fit))
    found += draw_count(count) * CURVE_FOLDS * slower
    return found.on_one_core() if n <= _FEW else found


def report_work(job: Job, sets: int) -> Work:
    """Return the work of comparisons, subgroups, pages and figures."""
    from fastmm.findings.scoring import RESAMPLES

    rows, singles = job.size.rows, len(job.size.widths)
    drawn = RESAMPLES * rows * rates.AREA
    compared = singles * drawn * job.size.classes if job.size.classes > 2 else 0.0
    levels = job.by * drawn * (job.size.classes if job.size.classes > 2 else 1)
    return Work(lone_steps=rates.REPORT + rates.REPORT_SET * sets + compared + levels)


def _design(fit: Fit) -> float:
    """Return seconds of standardising and stacking the features of a set."""
    return rates.FIT + rates.FIT_MODALITY * len(fit.widths) + rates.ELEMENT * fit.rows * fit.width
