"""The job of predicting a number: from a cohort to validated predictions and a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from os import PathLike
from typing import Any

import numpy as np

from fastmm import __version__
from fastmm.blocks import Block
from fastmm.cohort import Cohort
from fastmm.environment import environment
from fastmm.findings.describing import describe_cohort, variance_shares
from fastmm.findings.held_out_numbers import HeldOutNumbers, describe_leaving_out, leave_out
from fastmm.findings.reading import Task, read_blocks
from fastmm.findings.scoring_numbers import compare_errors, score_numbers
from fastmm.findings.validation import name_set
from fastmm.multimodal_regressor import MultimodalRegressor
from fastmm.stopwatch import Stopwatch
from fastmm.streams.limits import check_limit

__all__ = ["RegressionStudy", "run_regression"]


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
    store: str | PathLike[str] | None = None,
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
    fusion, interactions, device, scheduler, memory_limit, store, watch, task, **about
        As for `fastmm.study.run_study`.

    Returns
    -------
    RegressionStudy
    """
    watch = watch or Stopwatch()
    task = task or (lambda name: lambda done, total: None)
    sets = [(name,) for name in modalities] + ([tuple(modalities)] if len(modalities) > 1 else [])
    plans = [(kind, names) for kind in models for names in sets]
    made = partial(_regressor, modalities, fusion, interactions, check_limit(memory_limit))
    for kind in models:
        made(sets[-1], kind).check_options()
    blocks, pictures = read_blocks(
        cohort, modalities, device, watch, task,
        scheduler=scheduler, memory_limit=memory_limit, store=store,
    )  # fmt: skip
    y, progress = np.asarray(cohort.y, np.float64), task("validate")
    scores: list[dict[str, Any]] = []
    found: dict[tuple[str, str], tuple[Any, HeldOutNumbers]] = {}
    for kind, names in plans:
        rows = np.any([blocks[name].present for name in names], axis=0)
        own = {name: blocks[name].take(rows) for name in names}
        label = name_set(names, len(modalities))
        with watch(f"validate {kind}") as stage:
            model = made(names, kind)
            held_out = leave_out(model, own, y[rows], cohort.groups[rows])
            stage.fits += held_out.folds
        found[kind, label] = (rows, held_out)
        scores.append(
            {
                "model": kind,
                "features": label,
                **score_numbers(y[rows], held_out, cohort.groups[rows]),
            }
        )
        progress(len(found), len(plans))
    chosen = {"model": models[0], "features": name_set(sets[-1], len(modalities))}
    held_out = found[chosen["model"], chosen["features"]][1]
    final = made(sets[-1], models[0])
    with watch("fit the final model") as stage:
        final.fit(blocks, y, groups=cohort.groups)
        stage.fits += 1
    results = {
        **about,
        "task": "regression",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "fastmm": __version__,
        "cohort": _described(cohort, modalities, blocks),
        "validation": describe_leaving_out(held_out, cohort),
        "scores": scores,
        "chosen": chosen,
        "comparison": compare_errors(y, cohort.groups, found, scores, chosen),
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


def _regressor(
    modalities: Mapping[str, Any],
    fusion: str,
    interactions: bool,
    limit: int | None,
    names: Sequence[str],
    solver: str,
) -> MultimodalRegressor:
    own = {name: modalities[name] for name in names}
    if fusion == "late" and len(own) == 1:
        fusion = "stack"  # there is nothing to combine
    return MultimodalRegressor(
        own, solver=solver, fusion=fusion, interactions=interactions, memory_limit=limit
    )


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
