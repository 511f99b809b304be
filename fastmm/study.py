"""The main job: from a cohort to validated scores, a fitted model and a report's numbers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import Any

import numpy as np

from fastmm import __version__
from fastmm.blocks import Block
from fastmm.cohort import Cohort
from fastmm.cohort_features import extract_blocks
from fastmm.environment import environment
from fastmm.features.table import Columns
from fastmm.metrics import balanced_accuracy_score, roc_curve
from fastmm.multimodal import MultimodalClassifier
from fastmm.stopwatch import Stopwatch
from fastmm.streams.limits import check_limit
from fastmm.validate.bootstrap import bootstrap_auc
from fastmm.validate.nested import OutOfFold, out_of_fold

__all__ = ["Study", "Task", "run_study"]

Task = Callable[[str], Callable[[int, int], object]]
_RESAMPLES, _CONFIDENCE = 2000, 0.95
_PICTURES = 8


@dataclass(frozen=True)
class Study:
    """What a run found.

    Attributes
    ----------
    results : dict
        Everything the report shows, as plain data.
    model : MultimodalClassifier
        The chosen model, fitted to all rows.
    held_out : OutOfFold
        Its out-of-fold predictions.
    pictures : dict of str to array of shape (n, h, w)
        Some images as the model saw them, in [0, 1].
    """

    results: dict[str, Any]
    model: MultimodalClassifier
    held_out: OutOfFold
    pictures: dict[str, np.ndarray[Any, Any]]


def run_study(
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
) -> Study:
    """Read a cohort, validate every modality alone and all fused, fit the final model.

    Parameters
    ----------
    cohort : Cohort
        With labels.
    modalities : dict of str to ImageModality or TableModality
        One for each entry of ``cohort.images`` and ``cohort.tables``.
    models : sequence of {"ridge", "linear", "lssvm", "svm", "deep"}
        What to validate; the first, on all modalities, becomes the final model. It is
        named before any score is known, so no choice flatters its score.
    fusion : {"stack", "kernel", "late"}
        How modalities are fused.
    interactions : bool, default False
        Whether kernels are fused as a product.
    device : {"auto", "cpu", "cuda"}, default "auto"
        Where images are read to and become features.
    scheduler : str, optional
        Address of a dask scheduler, whose workers read the images and compute features.
    memory_limit : int or str, optional
        Bytes for images at a time, such as "2GB": examinations are read in turn, and only
        their features stay. A cluster has limits of its own.
    watch : Stopwatch, optional
        Gets the time of each stage.
    task : callable, optional
        ``task(name)`` announces a long step and returns a function that is called as
        ``progress(done, total)``.
    **about
        Entries of the results that the caller knows: title, command, synthetic, settings.

    Returns
    -------
    Study
    """
    if cohort.y is None:
        raise ValueError("`cohort` must have labels; name its `label` column.")
    watch = watch or Stopwatch()
    task = task or (lambda name: lambda done, total: None)
    for kind in models:
        _classifier(modalities, tuple(modalities), kind, fusion, interactions).check_options()
    if scheduler is None:
        blocks, images = extract_blocks(
            cohort, modalities, device, watch, task, _PICTURES, check_limit(memory_limit)
        )
    else:
        from fastmm.dask_study import extract_on_cluster

        blocks, images = extract_on_cluster(
            cohort, modalities, scheduler, device, watch, task, _PICTURES
        )
    pictures = {name: _shown(some) for name, some in images.items()}
    sets = [(name,) for name in modalities] + ([tuple(modalities)] if len(modalities) > 1 else [])
    scores, curves, notes, whole = _validate(
        cohort, modalities, blocks, models, sets, (fusion, interactions), watch, task
    )
    final = _classifier(modalities, tuple(modalities), models[0], fusion, interactions)
    with watch("fit the final model") as stage:
        final.fit(blocks, cohort.y, groups=cohort.groups)
        stage.fits += 1
    chosen = {"model": models[0], "features": _label(sets[-1])}
    held_out = whole[chosen["model"], chosen["features"]]
    results = {
        **about,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "fastmm": __version__,
        "cohort": _describe(cohort, modalities, blocks, notes),
        "validation": _scheme(held_out, cohort),
        "scores": scores,
        "chosen": chosen,
        "roc": curves,
        "contributions": _shares(final, blocks),
        "stages": watch.table(),
        "environment": environment(),
    }
    if held_out.decision.ndim == 1:
        labels = (cohort.y == final.classes_[1]).astype(int)
        results["predictions"] = {
            "label": labels.tolist(),
            "score": held_out.decision.tolist(),
            "classes": [str(c) for c in final.classes_],
        }
    return Study(results, final, held_out, pictures)


def _validate(
    cohort: Cohort,
    modalities: Mapping[str, Any],
    blocks: Mapping[str, Block],
    models: Sequence[str],
    sets: Sequence[tuple[str, ...]],
    how: tuple[str, bool],
    watch: Stopwatch,
    task: Task,
) -> tuple[list[Any], list[Any], list[str], dict[tuple[str, str], OutOfFold]]:
    """Score every model on every set of modalities, over the rows that have one of them."""
    scores: list[Any] = []
    notes: list[str] = []
    curves: list[Any] = []
    whole: dict[tuple[str, str], OutOfFold] = {}
    progress, total = task("validate"), len(models) * len(sets)
    for kind, names in product(models, sets):
        rows = np.any([blocks[name].present for name in names], axis=0)
        y, groups = np.asarray(cohort.y)[rows], cohort.groups[rows]
        own = {name: blocks[name].take(rows) for name in names}
        with watch(f"validate {kind}") as stage:
            # Each fold of a network is several trainings.
            most = 5 if kind == "deep" else 100
            model = _classifier(modalities, names, kind, *how)
            held_out = out_of_fold(model, own, y, groups, max_folds=most)
            stage.fits += held_out.folds
        score, curve, said = _score(y, held_out, groups)
        about = {"model": kind, "features": _label(names)}
        scores.append({**about, **score})
        curves += [{**about, **part} for part in curve]
        notes += [f"{kind}, {_label(names)}: {text}" for text in said]
        whole[kind, _label(names)] = held_out
        progress(len(whole), total)
    return scores, curves, notes, whole


def _label(names: Sequence[str]) -> str:
    return "fused" if len(names) > 1 else names[0]


def _shown(images: list[Any]) -> Any:
    host = [each.get() if hasattr(each, "get") else each for each in images]
    stack = np.stack(host).astype(np.float32)
    low, high = np.nanpercentile(stack, [1, 99])
    return np.nan_to_num(np.clip((stack - low) / max(high - low, 1e-12), 0, 1))  # NaN: no region


def _classifier(
    modalities: Mapping[str, Any],
    names: Sequence[str],
    solver: str,
    fusion: str,
    interactions: bool,
) -> MultimodalClassifier:
    own = {name: modalities[name] for name in names}
    if fusion == "late" and len(own) == 1:
        fusion = "stack"  # there is nothing to combine
    return MultimodalClassifier(own, solver=solver, fusion=fusion, interactions=interactions)


def _score(y: Any, held_out: OutOfFold, groups: Any) -> tuple[dict[str, Any], list[Any], list[str]]:
    classes = np.unique(y)
    score = held_out.decision if held_out.decision.ndim == 1 else held_out.probability
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)  # of resamples that lack a class
        auc, low, high = bootstrap_auc(
            y, score, groups, n_resamples=_RESAMPLES, confidence=_CONFIDENCE
        )
    said = [str(warning.message) for warning in caught]
    numbers = {
        "auc": auc,
        "auc_low": low,
        "auc_high": high,
        "balanced_accuracy": float(balanced_accuracy_score(y, held_out.prediction)),
        "n": len(y),
        "patients": len(set(groups.tolist())),
        "folds": held_out.folds,
    }
    if held_out.decision.ndim > 1:
        return numbers, [], said
    fpr, tpr, _ = roc_curve(y == classes[1], held_out.decision)
    return numbers, [{"fpr": fpr.tolist(), "tpr": tpr.tolist()}], said


def _scheme(held_out: OutOfFold, cohort: Cohort) -> dict[str, Any]:
    what = "patient" if cohort.grouped else "row"
    one_out = held_out.folds == cohort.patients
    return {
        "scheme": f"leave one {what} out" if one_out else f"{held_out.folds} folds of {what}s",
        "detail": (
            "Nested: means and scales, categories, weights of modalities, widths of kernels and "
            f"the penalty (by exact closed-form leave-one-{what}-out), and the calibration are "
            f"learned anew without the {what}s that are predicted. A score of 0 is the border "
            "between classes of equal weight; the probability knows how frequent they are."
        ),
        "bootstrap": _RESAMPLES,
        "confidence": _CONFIDENCE,
    }


def _shares(model: MultimodalClassifier, blocks: Mapping[str, Block]) -> list[dict[str, Any]]:
    if len(blocks) < 2:
        return []
    try:
        parts = model.contributions(blocks)
    except ValueError:  # one RBF kernel of all modalities together
        return []
    spread = {name: float(np.var(parts[name], axis=0).sum()) for name in blocks}
    total = sum(spread.values()) or 1.0
    return [{"name": name, "share": value / total} for name, value in spread.items()]


def _describe(
    cohort: Cohort, modalities: Mapping[str, Any], blocks: Mapping[str, Block], notes: list[str]
) -> dict[str, Any]:
    rows = []
    for name, block in blocks.items():
        present = int(block.present.sum())
        row = {"name": name, "present": present, "missing": cohort.count - present}
        if isinstance(block.values, Columns):
            columns = list(block.values.texts)
            shown = ", ".join(columns[:6]) + (", ..." if len(columns) > 6 else "")
            row |= {"kind": "table", "features": len(columns), "detail": f"columns {shown}"}
        else:
            detail = modalities[name].describe()
            if name in cohort.masks:
                detail = f"{modalities[name].describe_region()}, {detail}"
            row |= {"kind": "image", "features": int(block.values.shape[1]), "detail": detail}
        rows.append(row)
    found, counts = np.unique(np.asarray(cohort.y), return_counts=True)
    return {
        "rows": cohort.count,
        "patients": cohort.patients,
        "label": cohort.label,
        "classes": {str(c): int(n) for c, n in zip(found, counts, strict=True)},
        "modalities": rows,
        "notes": [*cohort.notes, *notes],
    }
