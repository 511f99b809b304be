"""What conformal intervals and sets share: the units that new rows are compared with."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm.solve.group_names import encode_groups
from fastmm.validate.left_out_models import LeftOutModels

__all__ = ["PIECE", "ROUNDING", "calibration_units", "patient_codes"]

PIECE = 1 << 22  # elements of work space at once: 32 MB an array
ROUNDING = 1e-9  # of sums of shares


def patient_codes(groups: Any, n: int) -> np.ndarray[Any, Any]:
    """Return the number of the patient of each row."""
    return np.arange(n) if groups is None else encode_groups(groups, n)


def calibration_units(
    models: LeftOutModels, patients: np.ndarray[Any, Any], scores: np.ndarray[Any, Any], cover: str
) -> tuple[Any, Any, Any]:
    """Return the fold, the score and the share in its patient of each unit that is compared."""
    if cover == "row":
        return models.folds.codes, scores, 1 / np.bincount(patients)[patients]
    largest = np.full(patients.max() + 1, -np.inf)
    np.maximum.at(largest, patients, scores)
    fold = np.empty(largest.size, np.intp)
    fold[patients] = models.folds.codes
    return fold, largest, np.ones(largest.size)
