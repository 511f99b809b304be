"""Scores of rows left out by patient, and areas with intervals over patients."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from fastmm import LSSVC
from fastmm.validate.bootstrap import bootstrap_auc

__all__ = ["arguments", "folds_of", "held_out", "measure", "write"]


def held_out(kernel: Any, labels: Any, groups: Any, C: float) -> Any:
    """Return each row's score by the machine fitted without its group, in closed form.

    Less the mean label that this machine was trained on, which leans against the group.
    """
    model = LSSVC(C, kernel="precomputed").fit(kernel, labels, groups=groups)
    signs = 2.0 * labels - 1
    of_group = np.bincount(groups, signs)[groups], np.bincount(groups)[groups]
    means = (signs.sum() - of_group[0]) / (len(signs) - of_group[1])
    return np.asarray(model.cv_decision_) - means


def folds_of(labels: Any, groups: Any, count: int, seed: int) -> Any:
    """Return the fold of each row; groups stay whole."""
    folds = np.empty(len(labels), int)
    split = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    for fold, (_, out) in enumerate(split.split(labels, labels, groups)):
        folds[out] = fold
    return folds


def measure(name: str, labels: Any, scores: Any, groups: Any = None) -> dict[str, Any]:
    """Print and return the area under the ROC curve with its 95 % interval."""
    area, low, high = bootstrap_auc(labels, scores, groups)
    print(f"{name:58s} {area:.4f}  [{low:.4f}, {high:.4f}]", flush=True)
    return {"name": name, "auc": area, "low": low, "high": high}


def arguments(text: str) -> argparse.Namespace:
    """Read the folder of the data and where to write results."""
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("data", type=Path, help="folder of the cohort")
    parser.add_argument("--json", type=Path, help="file for the results")
    return parser.parse_args()


def write(path: Path | None, results: dict[str, Any]) -> None:
    """Write results as JSON, if asked for."""
    if path is not None:
        path.write_text(json.dumps(results, indent=1) + "\n")
