"""Does fusing help: all modalities against each single one, on the same patients."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from fastmm.findings.scoring import CONFIDENCE, RESAMPLES
from fastmm.findings.validation import FUSED, Validated
from fastmm.validate.comparison import compare_auc
from fastmm.validate.training_share import training_share

__all__ = ["compare_sets"]


def compare_sets(
    found: Sequence[Validated], scores: Sequence[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Compare the fusion of each model with its single modalities; return rows and notes.

    The single modality with the largest area of a model is marked "best".
    """
    areas = {(row["model"], row["features"]): row["auc"] for row in scores}
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for fused in (one for one in found if one.features == FUSED):
        single = [s for s in found if s.model == fused.model and len(s.names) == 1]
        best = max(single, key=lambda s: areas[s.model, s.features])
        for other in single:
            row, said = _compare(fused, other)
            rows.append({**row, "best": other is best})
            notes += [f"{fused.model}, {FUSED} against {other.features}: {text}" for text in said]
    return rows, notes


def _compare(fused: Validated, other: Validated) -> tuple[dict[str, Any], list[str]]:
    both = other.rows[fused.rows]  # a row that has the one modality has one of all
    binary = fused.score.ndim == 1
    method = "delong" if binary else "bootstrap"
    share = training_share(
        other.y,
        other.deals,
        other.groups,
        other.held_out.folds,
        against=fused.deals[:, both],
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        test = compare_auc(
            other.y,
            fused.score[both],
            other.score,
            other.groups,
            method=method,
            confidence=CONFIDENCE,
            n_resamples=RESAMPLES,
            inflation=1 + share,
        )
    row = {
        **fused.about,
        "against": other.features,
        "auc": test.auc_a,
        "auc_against": test.auc_b,
        "difference": test.difference,
        "difference_low": test.low,
        "difference_high": test.high,
        "pvalue": test.pvalue,
        "training_share": share,
        "method": "DeLong" if binary else "patient bootstrap",
        "n": len(other.y),
        "patients": len(set(other.groups.tolist())),
    }
    return row, list(dict.fromkeys(str(warning.message) for warning in caught))
