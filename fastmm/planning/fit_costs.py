"""What one fit of a `MultimodalClassifier` costs, counted in flops and passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fastmm.planning import rates
from fastmm.planning.work import Work

__all__ = ["Fit", "fit_parts", "fit_work", "predict_work", "solver_words"]

_FEW = 400  # rows up to which a fit takes one thread
_MOST, _NOVEL = 1500, 1000  # rows that weights are tuned on, and that novelty keeps
_PENALTIES, _SEARCHED = 13, 7  # where nothing was tuned, and around what was
_EVALUATIONS = 2.5  # of the left-out loss, for each number that is searched
_PASSES = 120  # over the kernel of active rows, where it is large
_HINGES = 3 * 11  # support vector machines: three penalties, ten folds and the whole


@dataclass(frozen=True)
class Fit:
    """One fit: its rows, the features of each modality, the columns of tables among them.

    `targets` are 1 for two classes, else as many as there are; `fusion` and `solver` as in
    `MultimodalClassifier`.
    """

    rows: float
    widths: Mapping[str, int]
    solver: str = "ridge"
    fusion: str = "stack"
    targets: int = 1
    columns: int = 0

    @property
    def width(self) -> int:
        """Features of all modalities."""
        return sum(self.widths.values())

    @property
    def form(self) -> str:
        """Which kernel is seen; see `fastmm.fusion.fused_solvers.form_of`."""
        if self.fusion == "kernel":
            return "rbf"
        return "linear" if self.solver in ("ridge", "linear") else "joint"

    @property
    def tuned(self) -> bool:
        """Whether weights or widths are searched by the held-out loss."""
        return len(self.widths) > 1 or self.form != "linear"


def fit_parts(fit: Fit) -> dict[str, Work]:
    """Return the work of a fit, part by part.

    Examples
    --------
    >>> list(fit_parts(Fit(100, {"ct": 450})))
    ['standardise', 'Gram matrix', 'factorise', 'held-out scores', 'novelty, calibration']
    """
    if fit.fusion == "late" and len(fit.widths) > 1:
        return _late(fit)
    n, m = fit.rows, min(fit.rows, _NOVEL)
    parts = {
        "standardise": Work(
            lone_steps=rates.FIT
            + rates.FIT_MODALITY * len(fit.widths)
            + rates.ELEMENT * n * fit.width
            + (rates.COLUMN + rates.FIT_CELL * n) * fit.columns
        )
    }
    if fit.tuned:
        parts["tune weights and widths"] = _tuning(fit)
    parts |= _linear(fit) if fit.form == "linear" else _machine(fit)
    products = (4.0 if fit.form == "linear" else 2.0) * m * m * fit.width
    parts["novelty, calibration"] = Work(
        flops=(rates.EIGH + 2.0) * m**3 + products,
        lone_steps=rates.SOLVE + rates.FIT_ROW * n,
    )
    if n <= _FEW:
        return {name: work.on_one_core() for name, work in parts.items()}
    return parts


def fit_work(fit: Fit) -> Work:
    """Return the work of a fit with its search, its novelty and its calibration.

    Examples
    --------
    >>> small, large = (fit_work(Fit(n, {"ct": 450})).lone_flops for n in (100, 200))
    >>> 4 < large / small < 9
    True
    """
    return sum(fit_parts(fit).values(), Work())


def predict_work(fit: Fit, rows: float) -> Work:
    """Return the work of scoring rows by a fitted model."""
    found = Work(lone_steps=1e-3 + rates.APPLY * rows * fit.width)
    if fit.form != "linear":
        found += Work(flops=2.0 * rows * fit.rows * fit.width)
        found += Work(lone_steps=rates.JOINT_ELEMENT * rows * fit.rows)
    return found


def solver_words(fit: Fit) -> str:
    """Say how a fit of this size is solved."""
    n, d = round(fit.rows), fit.width
    if fit.solver == "deep":
        return "network trained in batches"
    if fit.form == "linear":
        side = f"{d:,} x {d:,} Gram matrix" if d <= n else f"{n:,} x {n:,} kernel"
        return f"one eigendecomposition of the {side} for all penalties"
    kernel = f"{n:,} x {n:,} kernel"
    if fit.solver == "svm":
        return f"Newton's method on a {kernel}"
    return f"Cholesky factorisation of the {kernel} for each of {_SEARCHED} penalties"


def _late(fit: Fit) -> dict[str, Work]:
    """Return the parts of one fit for each modality, and of their combination."""
    found: dict[str, Work] = {}
    for name, width in fit.widths.items():
        for part, work in fit_parts(replace(fit, widths={name: width}, fusion="stack")).items():
            found[part] = found.get(part, Work()) + work
    rows = fit.targets * rates.COMBINE_ROW * fit.rows
    found["combine scores"] = Work(lone_steps=rates.SOLVE + rows)
    return found


def _tuning(fit: Fit) -> Work:
    """Return the work of the search of weights and widths: where it starts, and L-BFGS.

    The starting weights take one spectrum for each modality, the starting penalty one of all.
    """
    n, modalities = min(fit.rows, _MOST), len(fit.widths)
    widths = {"linear": 0, "joint": 1, "rbf": modalities}[fit.form]
    free = modalities if modalities > 1 else 0
    evaluations = _EVALUATIONS * (free + widths + 1)
    each = rates.LOSS_ELEMENT + rates.FUSE_ELEMENT * modalities + rates.JOINT_ELEMENT * widths
    loss = Work(flops=3.0 * n**3, lone_steps=rates.LOSS + each * n * n)
    path = Work(flops=rates.EIGH * n**3, lone_steps=rates.LOSS + rates.PATH_ELEMENT * n * n)
    if fit.solver == "linear":  # with one penalty, a factorisation
        path = Work(flops=float(n**3), lone_steps=rates.LOSS + rates.PATH_ELEMENT * n * n)
    starts = free + (0 if fit.solver == "linear" else 1)
    return Work(flops=2.0 * n * n * fit.width) + starts * path + evaluations * loss


def _linear(fit: Fit) -> dict[str, Work]:
    """Return the parts of a ridge search: the Gram matrix of the smaller side, its spectrum."""
    n, d, targets = fit.rows, fit.width, fit.targets
    m = min(n, d)
    penalties = 1 if fit.solver == "linear" else _SEARCHED if fit.tuned else _PENALTIES
    return {
        "Gram matrix": Work(
            flops=float(n * d * m),  # one triangle
            lone_steps=rates.SOLVE + rates.SOLVE_ELEMENT * n * d,
        ),
        "factorise": Work(flops=rates.EIGH * m**3),
        "held-out scores": Work(
            flops=(2.0 * n * d * m if d <= n else 0.0) + penalties * 2.0 * n * m * (1 + targets)
        ),
    }


def _machine(fit: Fit) -> dict[str, Work]:
    """Return the parts of a kernel machine: the kernel, and a factorisation a penalty."""
    n, square = fit.rows, fit.rows**2
    kernels = 3 if fit.fusion == "kernel" else 1
    gram = Work(
        flops=2.0 * square * fit.width,
        lone_steps=rates.SOLVE + kernels * rates.JOINT_ELEMENT * square,
    )
    if fit.solver == "svm":
        return {"Gram matrix": gram, "factorise": fit.targets * _HINGES * _hinge(n)}
    each = Work(flops=2 / 3 * n**3, lone_steps=rates.MACHINE_ELEMENT * square)
    scores = Work(flops=4.0 * square * fit.targets)
    return {
        "Gram matrix": gram,
        "factorise": _SEARCHED * each,
        "held-out scores": _SEARCHED * scores,
    }


def _hinge(n: float) -> Work:
    """Return the work of one support vector machine: half of the rows active, few steps."""
    active = 0.5 * n
    if active <= 1000:
        steps = rates.HINGE + rates.HINGE_ELEMENT * n * n
        return Work(flops=active**3, lone_steps=steps)
    return Work(lone_steps=rates.HINGE, moved=_PASSES * 8 * active * active)
