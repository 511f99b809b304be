"""Learning curves: what more patients would bring, from exact refits of a closed form.

The patients of each draw are dealt into folds. Each fold is predicted by models that saw
some of the other patients, few first, and the area is that of all rows together: every
point of a curve is of the same patients, and only the training differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.blocks import Block
from fastmm.findings.designs import Design, make_design
from fastmm.findings.room import curve_bytes
from fastmm.findings.validation import Plan, Validated
from fastmm.fusion.fused_solvers import form_of
from fastmm.solve.areas import roc_auc
from fastmm.solve.group_names import encode_groups
from fastmm.solve.kernel.kernel_ridge_search import KernelRidgeCV
from fastmm.solve.threads import one_thread, scipy_threads_only
from fastmm.validate.bootstrap import one_against_rest

__all__ = ["CURVE_FOLDS", "DETAIL", "MOST_ROWS", "curve_sizes", "draw_count", "learning_curve"]

DETAIL = (
    "Each point: models fitted to so many patients, drawn at random with every class among "
    "them, their penalty chosen by leaving patients out, predict the patients of another "
    "fold; the line is the mean area over draws, the band holds nine of ten draws. "
    "Modalities weigh the same; means and scales, which know no label, are of all rows. "
    "The band is what the choice of training patients does: no interval for new patients."
)
CURVE_FOLDS, _SHARES = 5, (0.15, 0.25, 0.4, 0.65, 1.0)
MOST_ROWS = 1500  # a solve costs their number cubed
_FEW = 400  # rows, whose many small products are slower on several threads than on one


def learning_curve(
    plan: Plan, found: Validated, blocks: Mapping[str, Block], *, seed: int = 0
) -> dict[str, Any] | None:
    """Return the areas by number of training patients.

    None where there is no closed form, or where its rows have no room under the plan's limit.

    Machines with other losses stand on the least squares of the same kernel, late fusion
    on the features side by side.
    """
    if found.model == "deep":
        return None
    rng = np.random.default_rng(seed)
    kept = _some(found.groups, found.y, rng)
    own = {name: blocks[name].take(found.rows).take(kept) for name in found.names}
    form = form_of("kernel" if plan.fusion == "kernel" else "stack", found.model)
    if plan.memory_limit is not None and curve_bytes(own, form, MOST_ROWS) > plan.memory_limit:
        return None
    design = make_design(plan, found.model, found.names, own)
    y, patients = found.y[kept], encode_groups(found.groups[kept], len(kept))
    kernel, count = design.kernel(), int(patients.max()) + 1
    areas: dict[int, list[float]] = {}
    with ExitStack() as limits:
        if len(kernel) <= _FEW:
            limits.enter_context(scipy_threads_only(Space("cpu")))
            limits.enter_context(one_thread(Space("cpu")))
        for _ in range(draw_count(count)):
            for size, held_out in _draw(design, kernel, y, patients, rng):
                areas.setdefault(size, []).append(_area(y, held_out))
    points = []
    for size, values in sorted(areas.items()):
        low, high = np.quantile(values, [0.05, 0.95])
        points.append(
            {
                "patients": size,
                "auc": float(np.mean(values)),
                "auc_low": float(low),
                "auc_high": float(high),
                "draws": len(values),
            }
        )
    return {**found.about, "points": points}


def draw_count(patients: int) -> int:
    """Return how many times patients are dealt anew: fewer vary less between draws."""
    return 12 if patients <= 100 else 8 if patients <= 200 else 4


def curve_sizes(patients: int, classes: int) -> list[int]:
    """Return how many patients the models of a curve are fitted to.

    Examples
    --------
    >>> curve_sizes(50, 2)
    [6, 10, 16, 26, 40]
    """
    full = patients - -(-patients // CURVE_FOLDS)
    least = min(2 * classes + 2, full)
    return sorted({max(round(share * full), least) for share in _SHARES})


def _some(groups: Any, y: Any, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Return rows of whole patients, not more than can be paid, of every class."""
    codes = encode_groups(groups, len(groups))
    order = _interleaved(_kinds(codes, np.unique(y, return_inverse=True)[1]), rng)
    ends = np.cumsum(np.bincount(codes)[order])
    return np.flatnonzero(np.isin(codes, order[: max(2, int((ends <= MOST_ROWS).sum()))]))


def _draw(
    design: Design, kernel: Any, y: Any, patients: Any, rng: np.random.Generator
) -> Iterator[tuple[int, Any]]:
    """Yield the number of training patients, and the scores of all examinations."""
    classes, codes = np.unique(y, return_inverse=True)
    kind = _kinds(patients, codes)
    order = _interleaved(kind, rng)
    fold = np.empty(len(kind), int)
    fold[order] = np.arange(len(order)) % CURVE_FOLDS
    targets = _signs(codes, len(classes))
    owners = patients[design.owner]
    shuffled = [
        others[_interleaved(kind[others], rng)]
        for others in (np.flatnonzero(fold != at) for at in range(CURVE_FOLDS))
    ]
    for size in curve_sizes(len(kind), len(classes)):
        scores = np.zeros((len(y), targets.shape[1]))
        for at, others in enumerate(shuffled):
            train = np.flatnonzero(np.isin(owners, others[:size]))
            test = np.flatnonzero(fold[owners] == at)
            if not len(test):  # fewer patients than folds
                continue
            found = _fit(design, kernel, targets, codes, owners, train, test)
            np.add.at(scores, design.owner[test], found)
        counts = np.bincount(design.owner, minlength=len(y))
        yield size, scores / counts[:, None]


def _fit(
    design: Design, kernel: Any, targets: Any, codes: Any, owners: Any, train: Any, test: Any
) -> Any:
    """Fit to some rows, classes weighing the same, and predict others."""
    own = codes[design.owner[train]]
    counts = np.bincount(own, minlength=codes.max() + 1)
    weight = (len(own) / np.maximum(counts, 1))[own]
    model = KernelRidgeCV(design.alphas, kernel="precomputed", fit_intercept=True)
    model.fit(
        kernel[np.ix_(train, train)],
        targets[design.owner[train]],
        sample_weight=weight / weight.mean(),
        groups=owners[train],
    )
    return np.asarray(model.predict(kernel[np.ix_(test, train)])).reshape(len(test), -1)


def _kinds(patients: Any, codes: Any) -> np.ndarray[Any, Any]:
    """Return the class of each patient; of one with several, that of the first row."""
    kind = np.full(int(patients.max()) + 1, -1)
    kind[patients[::-1]] = codes[::-1]
    return kind


def _interleaved(kind: Any, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Return an order of patients whose every start has the classes in their shares.

    Two patients of each class come first, as a search that leaves one out needs.
    """
    place = np.empty(len(kind))
    for own in np.unique(kind):
        members = rng.permutation(np.flatnonzero(kind == own))
        place[members] = (np.arange(len(members)) + rng.random()) / len(members)
        place[members[:2]] -= 2
    return np.argsort(place, kind="stable")


def _signs(codes: Any, classes: int) -> Any:
    if classes == 2:
        return np.where(codes == 1, 1.0, -1.0)[:, None]
    return np.where(codes[:, None] == np.arange(classes), 1.0, -1.0)


def _area(y: Any, scores: Any) -> float:
    scores = np.round(scores, 9)  # of labels of -1 and 1: what differs by less is a tie
    positive, lines = one_against_rest(y, scores[:, 0] if scores.shape[1] == 1 else scores)
    return float(roc_auc(positive, lines).mean())
