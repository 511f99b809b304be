"""The main job: from a cohort to validated scores, a fitted model and a report's numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from os import PathLike
from typing import Any

import numpy as np

from fastmm import __version__
from fastmm.blocks import Block
from fastmm.cohort import Cohort
from fastmm.environment import environment
from fastmm.findings.comparing import compare_sets
from fastmm.findings.describing import describe_cohort, describe_scheme, variance_shares
from fastmm.findings.learning import learning_curve
from fastmm.findings.permuting import METHODS, permute_set
from fastmm.findings.reading import Task, read_blocks
from fastmm.findings.scoring import SetScores, score_set
from fastmm.findings.subgroups import subgroup_scores
from fastmm.findings.validation import Plan, Validated, plan_sets, validate_sets
from fastmm.multimodal import MultimodalClassifier
from fastmm.stopwatch import Stopwatch
from fastmm.streams.limits import check_limit
from fastmm.validate.out_of_fold import OutOfFold

__all__ = ["Study", "Task", "run_study"]


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
    store: str | PathLike[str] | None = None,
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
        Bytes for arrays, such as "2GB": examinations are read in turn, their features go to
        a file, and models are fitted within it, see `MultimodalClassifier`. Workers of a
        cluster have limits of their own.
    store : path, optional
        Folder that features of images are kept in: what was interrupted goes on where it was.
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
    plan = Plan(modalities, tuple(models), fusion, interactions, check_limit(memory_limit))
    for kind in models:
        plan.classifier(kind, tuple(modalities)).check_options()
    blocks, pictures = read_blocks(
        cohort, modalities, device, watch, task,
        scheduler=scheduler, memory_limit=memory_limit, store=store,
    )  # fmt: skip
    sets, notes = plan_sets(plan)
    found = validate_sets(cohort, plan, sets, blocks, watch, task)
    chosen = next(one for one in found if one.names == tuple(modalities))
    scores = _score(plan, found, blocks, notes, watch, task)
    comparisons, said = compare_sets(found, [each.numbers for each in scores])
    with watch("learning curve"):
        learning, untold = _learning(plan, found, comparisons, chosen, blocks, task)
    notes += untold
    final = chosen.fitted or plan.final()
    if chosen.fitted is None:
        with watch("fit the final model") as stage:
            final.fit(blocks, cohort.y, groups=cohort.groups)
            stage.fits += 1
    held_out = chosen.held_out
    results = {
        **about,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "fastmm": __version__,
        "cohort": describe_cohort(cohort, modalities, blocks, [*notes, *said]),
        "validation": describe_scheme(
            held_out, cohort, _methods(scores), network=chosen.model == "deep"
        ),
        "scores": [each.numbers for each in scores],
        "chosen": chosen.about,
        "comparisons": comparisons,
        "by_class": [row for each in scores for row in each.by_class],
        "subgroups": subgroup_scores(chosen, cohort.by),
        "roc": [curve for each in scores for curve in each.roc],
        "calibration": [curve for each in scores for curve in each.calibration],
        "learning_curves": learning,
        "contributions": variance_shares(final, blocks),
        "stages": watch.table(),
        "environment": environment(),
    }
    if held_out.decision.ndim == 1:
        labels = (cohort.y == final.classes_[1]).astype(int)
        results["predictions"] = {
            "label": labels.tolist(),
            "score": held_out.score.tolist(),
            "classes": [str(c) for c in final.classes_],
        }
    return Study(results, final, held_out, pictures)


def _score(
    plan: Plan,
    found: Sequence[Validated],
    blocks: Mapping[str, Block],
    notes: list[str],
    watch: Stopwatch,
    task: Task,
) -> list[SetScores]:
    """Score and test every set; what is to be said joins the notes."""
    scores, progress = [], task("intervals and p-values")
    for i, one in enumerate(found):
        with watch("intervals over patients"):
            own = score_set(one)
        with watch("permutation tests"):
            test, said = permute_set(plan, one, blocks)
        own.numbers |= test
        said = list(dict.fromkeys([*own.notes, *said]))
        notes += [f"{one.model}, {one.features}: {text.rstrip('.')}" for text in said]
        scores.append(own)
        progress(i + 1, len(found))
    return scores


def _methods(scores: Sequence[SetScores]) -> list[str]:
    used = dict.fromkeys(each.numbers.get("pvalue_method") for each in scores)
    return [METHODS[method] for method in used if method]


def _learning(
    plan: Plan,
    found: Sequence[Validated],
    comparisons: Sequence[dict[str, Any]],
    chosen: Validated,
    blocks: Mapping[str, Block],
    task: Task,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Draw the curves of the chosen set and of the best single modality; say what is left out."""
    best = {row["against"] for row in comparisons if row["best"] and row["model"] == chosen.model}
    sets = [one for one in found if one.model == chosen.model and one.features in best]
    progress, curves, notes = task("learning curve"), [], []
    for i, one in enumerate([chosen, *sets]):
        curve = learning_curve(plan, one, blocks)
        if curve is not None:
            curves.append(curve)
        elif one.model != "deep":
            notes.append(f"{one.model}, {one.features}: no learning curve within the memory limit")
        progress(i + 1, 1 + len(sets))
    return curves, notes
