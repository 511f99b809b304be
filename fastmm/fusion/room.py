"""Bytes that a fit of fused modalities takes: in memory, and of what is never parted.

Copies were measured as peaks of runs (`benchmarks/bench_plan.py`), float64 but for features.
"""

from __future__ import annotations

__all__ = [
    "NOVEL_ROWS",
    "TUNED_ROWS",
    "kernel_bytes",
    "memory_fit_bytes",
    "novelty_bytes",
    "solver_room",
    "tuning_bytes",
]

TUNED_ROWS = 1500  # the search of weights and widths costs their cube for each of its steps
NOVEL_ROWS = 1000  # training rows that novelty keeps: an eigendecomposition of them is made
_TUNING = 11  # kernels that a step of the search of weights holds, and one a modality
_DESIGN = 10.3  # copies of a fit's features, in units of their float32 bytes
_SQUARE = 2  # matrices of the smaller side that a ridge search holds beside them
_SYSTEM = 3.6  # kernels that a machine holds
_NOVEL = 5  # kernels of few rows
_GIVEN = 9  # kernels that a machine holds of one that was made for it, while it is checked


def tuning_bytes(rows: float, modalities: int, width: int, form: str) -> float:
    """Return what the search of weights and widths holds beside features.

    Examples
    --------
    >>> tuning_bytes(1000, 2, 50, "linear") == 13 * 8e6 + 4 * 1000 * 50
    True
    """
    n = min(rows, TUNED_ROWS)
    kernels = _TUNING + modalities + (0 if form == "linear" else 2)
    return 8.0 * n * n * kernels + 4.0 * n * width


def novelty_bytes(rows: float, width: int, form: str) -> float:
    """Return what is held to compare the leverage of few rows, which are copied."""
    n = min(rows, NOVEL_ROWS)
    copies = {"linear": 3.5, "joint": 3.0, "rbf": 0.0}[form]
    return 8.0 * n * n * _NOVEL + 8.0 * n * width * copies


def kernel_bytes(rows: float, width: int) -> float:
    """Return what a machine of fused kernels holds: all features, standardised, and kernels."""
    return 4.0 * rows * width + 8.0 * rows * rows * _GIVEN


def solver_room(limit: int | None, values: int, penalties: int) -> int | None:
    """Return what of a limit is left to a solver beside predictions, and what is freed late.

    `values` counts targets of all rows; each penalty predicts them out of fold.
    """
    if limit is None:
        return None
    return max(int(0.75 * limit) - 8 * values * (penalties + 8), limit // 4)


def memory_fit_bytes(
    rows: float, modalities: int, width: int, form: str, *, tuned: bool, late: bool = False
) -> float:
    """Return what a fit takes at most beside the features it is given, all in memory."""
    features = 4.0 * rows * width
    few = min(rows, NOVEL_ROWS)
    tuning = 0.0
    if tuned and not late:
        tuning = 3.0 * features + tuning_bytes(rows, modalities, 0, form)
    if form == "linear":
        solving = _DESIGN * features + _SQUARE * 8.0 * min(rows, width) ** 2
    else:
        solving = 6.0 * features + _SYSTEM * 8.0 * rows * rows
    return max(tuning, solving, 4.0 * features + _NOVEL * 8.0 * few**2)
