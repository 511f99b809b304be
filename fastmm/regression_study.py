"""The job of predicting a number: from a cohort to validated predictions and a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sklearn.base import clone

from fastmm import __version__
from fastmm.blocks import Block
from fastmm.cohort import Cohort
from fastmm.environment import environment
from fastmm.findings.describing import describe_cohort, variance_shares
from fastmm.findings.reading import Task, read_blocks
from fastmm.findings.scoring import CONFIDENCE, RESAMPLES
from fastmm.findings.validation import name_set
from fastmm.multimodal_regressor import MultimodalRegressor
from fastmm.solve.grouped import make_folds
from fastmm.stopwatch import Stopwatch
from fastmm.validate.number_scores import (
    bootstrap_error,
    bootstrap_error_difference,
    bootstrap_r2,
)

__all__ = ["COVERED", "HeldOutNumbers", "RegressionStudy", "run_regression"]

COVERED = 0.9  # what the intervals of predictions are to hold
_MOST_FOLDS = 100


@dataclass(frozen=True)
class HeldOutNumbers:
    """Predictions of each row by a model that never saw its patient.

    Attributes
    ----------
    prediction, low, high : arrays of shape (n,)
        Numbers, and the ends of their conformal intervals.
    guess : array of shape (n,)
        Mean label of the rows each model was fitted to.
    folds : int
        How many models there were.
    """

    prediction: Any
    low: Any
    high: Any
    guess: Any
    folds: int


@dataclass(frozen=True)
class RegressionStudy:
    """What a run found.

    Attributes
    ----------
    results : dict
        Everything the report shows, as plain data.
    model : MultimodalRegressor
        The chosen model, fitted to all rows.
    held_out : HeldOutNumbers
        Its out-of-fold predictions.
    pictures : dict of str to array of shape (n, h, w)
        Some images as the model saw them, in [0, 1].
    """

    results: dict[str, Any]
    model: MultimodalRegressor
    held_out: HeldOutNumbers
    pictures: dict[str, np.ndarray[Any, Any]]


def run_regression(
    cohort: Cohort,
    modalities: Mapping[str, Any],
    *,
    models: Sequence[str] = ("ridge",),
    fusion: str = "stack",
    interactions: bool = False,
    device: str = "auto",
    scheduler: str | None = None,
    memory_limit: int | str | None = None,
    watch: Stopwatch | None = None,
    task: Task | None = None,
    **about: Any,
) -> RegressionStudy:
    """Read a cohort, validate each modality alone and all fused, fit the final model.

    Parameters
    ----------
    cohort : Cohort
        With numbers as labels.
    modalities : dict of str to ImageModality or TableModality
        One for each entry of ``cohort.images`` and ``cohort.tables``.
    models : sequence of {"ridge", "linear", "lssvm"}
        What to validate; the first, on all modalities, becomes the final model.
    fusion, interactions, device, scheduler, memory_limit, watch, task, **about
        As for `fastmm.study.run_study`.

    Returns
    -------
    RegressionStudy
    """
    watch = watch or Stopwatch()
    task = task or (lambda name: lambda done, total: None)
    sets = [(name,) for name in modalities] + ([tuple(modalities)] if len(modalities) > 1 else [])
    plans = [(kind, names) for kind in models for names in sets]
    for kind in models:
        _regressor(modalities, sets[-1], kind, fusion, interactions).check_options()
    blocks, pictures = read_blocks(
        cohort, modalities, device, watch, task, scheduler=scheduler, memory_limit=memory_limit
    )
    y, progress = np.asarray(cohort.y, np.float64), task("validate")
    scores: list[dict[str, Any]] = []
    found: dict[tuple[str, str], tuple[Any, HeldOutNumbers]] = {}
    for kind, names in plans:
        rows = np.any([blocks[name].present for name in names], axis=0)
        own = {name: blocks[name].take(rows) for name in names}
        label = name_set(names, len(modalities))
        with watch(f"validate {kind}") as stage:
            model = _regressor(modalities, names, kind, fusion, interactions)
            held_out = leave_out(model, own, y[rows], cohort.groups[rows])
            stage.fits += held_out.folds
        found[kind, label] = (rows, held_out)
        scores.append(
            {"model": kind, "features": label, **_score(y[rows], held_out, cohort.groups[rows])}
        )
        progress(len(found), len(plans))
    chosen = {"model": models[0], "features": name_set(sets[-1], len(modalities))}
    held_out = found[chosen["model"], chosen["features"]][1]
    final = _regressor(modalities, sets[-1], models[0], fusion, interactions)
    with watch("fit the final model") as stage:
        final.fit(blocks, y, groups=cohort.groups)
        stage.fits += 1
    results = {
        **about,
        "task": "regression",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "fastmm": __version__,
        "cohort": _described(cohort, modalities, blocks),
        "validation": _scheme(held_out, cohort),
        "scores": scores,
        "chosen": chosen,
        "comparison": _compare(y, cohort.groups, found, scores, chosen),
        "predictions": {
            "observed": y.tolist(),
            "predicted": held_out.prediction.tolist(),
            "low": held_out.low.tolist(),
            "high": held_out.high.tolist(),
        },
        "contributions": variance_shares(final, blocks),
        "stages": watch.table(),
        "environment": environment(),
    }
    return RegressionStudy(results, final, held_out, pictures)


def leave_out(
    model: MultimodalRegressor, blocks: Mapping[str, Block], y: Any, groups: Any
) -> HeldOutNumbers:
    """Predict each row by a model fitted without its group; 10 folds of more than 100."""
    count = len(set(groups.tolist()))
    folds = make_folds(len(y), groups, None if count <= _MOST_FOLDS else 10)
    found = np.empty((4, len(y)))
    for fold in range(folds.n_folds):
        test = folds.codes == fold
        if set(groups[test]) & set(groups[~test]):
            raise RuntimeError("A patient stood in training and test.")
        train = {name: block.take(~test) for name, block in blocks.items()}
        fitted = clone(model).fit(train, y[~test], groups=groups[~test])
        prediction = fitted.predict({name: block.take(test) for name, block in blocks.items()})
        found[0, test] = prediction
        found[1, test], found[2, test] = fitted.intervals(prediction, COVERED)
        found[3, test] = y[~test].mean()
    return HeldOutNumbers(found[0], found[1], found[2], found[3], folds.n_folds)


def _regressor(
    modalities: Mapping[str, Any],
    names: Sequence[str],
    solver: str,
    fusion: str,
    interactions: bool,
) -> MultimodalRegressor:
    own = {name: modalities[name] for name in names}
    if fusion == "late" and len(own) == 1:
        fusion = "stack"  # there is nothing to combine
    return MultimodalRegressor(own, solver=solver, fusion=fusion, interactions=interactions)


def _score(y: Any, held_out: HeldOutNumbers, groups: Any) -> dict[str, Any]:
    how: dict[str, Any] = {"n_resamples": RESAMPLES, "confidence": CONFIDENCE}
    numbers: dict[str, Any] = {}
    for name, found in (
        ("r2", bootstrap_r2(y, held_out.prediction, groups, **how)),
        ("mae", bootstrap_error(y, held_out.prediction, groups, **how)),
    ):
        numbers[name], numbers[f"{name}_low"], numbers[f"{name}_high"] = found
    width = held_out.high - held_out.low
    inside = (held_out.low <= y) & (y <= held_out.high)
    return {
        **numbers,
        "mae_guess": float(abs(y - held_out.guess).mean()),
        "interval_confidence": COVERED,
        "interval_coverage": float(inside.mean()),
        "interval_width": float(np.median(width)),
        "n": len(y),
        "patients": len(set(groups.tolist())),
        "folds": held_out.folds,
    }


def _compare(y: Any, groups: Any, found: Any, scores: Any, chosen: Any) -> dict[str, Any] | None:
    """Compare the fused model with the single modality of the least error, on common rows."""
    singles = [
        row for row in scores
        if row["model"] == chosen["model"] and row["features"] != chosen["features"]
    ]  # fmt: skip
    if not singles:
        return None
    best = min(singles, key=lambda row: row["mae"])
    rows, alone = found[best["model"], best["features"]]
    fused = found[chosen["model"], chosen["features"]][1]
    difference = bootstrap_error_difference(
        y[rows], fused.prediction[rows], alone.prediction, groups[rows],
        n_resamples=RESAMPLES, confidence=CONFIDENCE,
    )  # fmt: skip
    return {
        "fused": chosen["features"],
        "single": best["features"],
        "mae_difference": difference.value,
        "mae_difference_low": difference.low,
        "mae_difference_high": difference.high,
        "n": int(rows.sum()),
    }


def _described(
    cohort: Cohort, modalities: Mapping[str, Any], blocks: Mapping[str, Block]
) -> dict[str, Any]:
    about = describe_cohort(cohort, modalities, blocks, [])
    about.pop("classes", None)
    low, quarter, median, most, high = np.percentile(
        np.asarray(cohort.y), [0, 25, 50, 75, 100]
    ).tolist()
    spread = {"lowest": low, "lower quartile": quarter, "median": median,
              "upper quartile": most, "highest": high}  # fmt: skip
    return {**about, "values": spread}


def _scheme(held_out: HeldOutNumbers, cohort: Cohort) -> dict[str, Any]:
    what = "patient" if cohort.grouped else "row"
    one_out = held_out.folds == cohort.patients
    return {
        "scheme": f"leave one {what} out" if one_out else f"{held_out.folds} folds of {what}s",
        "detail": (
            "Nested: means and scales, categories, weights of modalities, widths of kernels, the "
            f"penalty and the widths of the intervals are learned anew without the {what}s that "
            "are predicted."
        ),
        "bootstrap": RESAMPLES,
        "confidence": CONFIDENCE,
    }
