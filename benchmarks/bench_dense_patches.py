"""Ridge on all patches of images, without the patches, beside normal equations of explicit ones."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import fastmm


class Case(NamedTuple):
    """Images (number, modalities, side) and the side of their patches."""

    images: int
    modalities: int
    side: int
    patch: int

    @property
    def task(self) -> str:
        """Name the case."""
        return (
            f"ridge on all {self.patch} x {self.patch} patches of {self.images} x "
            f"{self.modalities} images {self.side} x {self.side}"
        )

    @property
    def flops(self) -> int:
        """Count the multiplications and additions of the pixel Gram matrix."""
        pairs = sum(self.side - d for d in range(self.patch))
        return 2 * self.images * pairs * (self.modalities * self.side) ** 2


FULL, SMALL = Case(500, 1, 64, 32), Case(9, 1, 12, 5)
TUTORIAL, TINY = Case(1000, 2, 128, 64), Case(7, 2, 12, 6)
ALPHA = 100.0
CHUNK = 8  # images whose patches are made at once: 4 to 32 take as long, within 5 %


def bench_dense_patches(timed: Any, arrays: Any, pick: Any) -> None:
    case = pick(FULL, SMALL)
    images, y = make(case)
    timed(
        fit_of(case),
        arrays.xp.asarray(images["0"]),
        arrays.xp.asarray(y),
        group=case.task,
        flops=case.flops,
        check=lambda model: normal_error(
            arrays.asnumpy(model.coef_), float(model.intercept_), images["0"], y
        ),
        tolerance=1e-9,
    )


def bench_dense_patches_left_out(timed: Any, arrays: Any, pick: Any) -> None:
    """Leave out each image in turn, by exact algebra; a refit for each would be the peer."""
    case = pick(FULL, SMALL)
    images, y = make(case)
    names = np.arange(case.images)
    timed(
        lambda a, b: fit_of(case)(a, b, groups=names),
        arrays.xp.asarray(images["0"]),
        arrays.xp.asarray(y),
        group=f"{case.task}, each left out",
        check=lambda model: refit_error(
            arrays.asnumpy(model.cv_predictions_), images["0"], y, case
        ),
        tolerance=1e-8,
    )


def bench_dense_patches_explicit(benchmark: Any, pick: Any) -> None:
    """Make the patches of some images at a time, float32, their products by BLAS."""
    case = pick(FULL, SMALL)
    images, y = make(case)
    found = once(benchmark, case, "NumPy on patches", explicit, images["0"], y, case.patch)
    error = parity(fit_of(case)(images["0"], y).coef_, found)
    benchmark.extra_info["parity"] = error
    assert error < 1e-4


def bench_dense_patches_sklearn(benchmark: Any, pick: Any) -> None:
    """Fit scikit-learn's Ridge to all patches at once, which take 2.2 GB at full size."""
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    case = pick(FULL, SMALL)
    images, y = make(case)

    def fit(x: Any, y: Any) -> Any:
        rows = patches(x - x.mean(), case.patch)
        targets = np.repeat(y, len(rows) // len(x)).astype(np.float32)
        return linear.Ridge(ALPHA, solver="cholesky", copy_X=False).fit(rows, targets).coef_

    found = once(benchmark, case, "scikit-learn", fit, images["0"], y)
    error = parity(fit_of(case)(images["0"], y).coef_, found)
    benchmark.extra_info["parity"] = error
    assert error < 1e-2  # float32 sums


def bench_dense_patches_tutorial(benchmark: Any, pick: Any) -> None:
    case = pick(TUTORIAL, TINY)
    images, y = make(case)
    model = once(benchmark, case, "fastmm", fit_of(case), images, y)
    benchmark.extra_info["parity"] = error = gradient(model, images, y)
    assert error < 1e-6


def once(benchmark: Any, case: Case, peer: str, function: Callable[..., Any], *args: Any) -> Any:
    """Time one round, without the repetitions that `timed` makes, and record its memory."""
    small = case in (SMALL, TINY)
    found = benchmark.pedantic(function, args, rounds=1 if small or case is TUTORIAL else 3)
    tracemalloc.start()
    try:
        function(*args)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    benchmark.group = f"{case.task}, CPU"
    benchmark.extra_info.update(
        device="CPU",
        peer=peer,
        task=case.task,
        sizes="small" if small else "full",
        peak_MB=round(peak / 1e6),
    )
    return found


def fit_of(case: Case) -> Callable[..., Any]:
    return fastmm.DensePatchRidge((case.patch, case.patch), alpha=ALPHA).fit


def patches(images: np.ndarray, side: int) -> np.ndarray:
    views = np.lib.stride_tricks.sliding_window_view(images, (side, side), axis=(1, 2))
    return np.ascontiguousarray(views).reshape(-1, side * side)


def explicit(images: np.ndarray, y: np.ndarray, side: int) -> np.ndarray:
    """Solve the normal equations: float32 products of each chunk, summed in float64."""
    from scipy.linalg import cho_factor, cho_solve

    d, offset = side * side, images.mean(dtype=np.float64).astype(np.float32)
    gram, total, right, rows = np.zeros((d, d)), np.zeros(d), np.zeros(d), 0
    for i in range(0, len(images), CHUNK):
        made = patches(images[i : i + CHUNK] - offset, side)
        targets = np.repeat(y[i : i + CHUNK] - y.mean(), len(made) // len(images[i : i + CHUNK]))
        gram += made.T @ made  # NumPy sees that it is symmetric, and does half of the work
        total += made.sum(axis=0, dtype=np.float64)
        right += made.T @ targets.astype(np.float32)
        rows += len(made)
    gram -= np.outer(total, total) / rows
    gram[np.diag_indices(d)] += ALPHA
    return cho_solve(cho_factor(gram, overwrite_a=True), right)


def normal_error(coef: np.ndarray, intercept: float, images: np.ndarray, y: np.ndarray) -> float:
    """Return how far the normal equations are from met, by explicit patches in float64."""
    rest, right = -ALPHA * coef.ravel(), np.zeros(coef.size)
    total = 0.0
    for image, target in zip(images.astype(np.float64), y, strict=True):
        made = patches(image[None], coef.shape[0])
        residual = target - intercept - made @ coef.ravel()
        rest += residual @ made
        right += target * made.sum(axis=0)
        total += float(residual.sum())
    return float(max(np.abs(rest).max(), abs(total) * np.abs(images).max()) / np.abs(right).max())


def parity(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found.ravel() - expected.ravel()).max() / np.abs(expected).max())


def refit_error(held_out: np.ndarray, images: np.ndarray, y: np.ndarray, case: Case) -> float:
    keep = np.arange(len(y)) != 3
    model = fit_of(case)(images[keep], y[keep])
    found = model.predict(images[3:4].astype(np.float64))[0]
    return float(abs(found - held_out[3]) / np.abs(held_out).max())


def gradient(model: Any, images: dict[str, np.ndarray], y: np.ndarray) -> float:
    """Return the gradient along a random filter, relative: 0 at the minimum."""
    from fastmm import DensePatchRidge

    rng = np.random.default_rng(0)
    other = DensePatchRidge(model.patch_size)
    other.coef_ = {k: rng.standard_normal(c.shape) for k, c in model.coef_.items()}
    other.intercept_, other.by_position_ = 0.0, True
    share = dot = size = 0.0
    for i in range(0, len(y), 50):
        some = {k: v[i : i + 50].astype(np.float64) for k, v in images.items()}
        rest = y[i : i + 50, None, None] - model.predict_map(some)
        along = other.predict_map(some)
        dot, size = dot + float((rest * along).sum()), size + float(np.square(along).sum())
        share += float(np.square(y[i : i + 50]).sum()) * math.prod(rest.shape[1:])
    dot -= ALPHA * sum(float((c * other.coef_[k]).sum()) for k, c in model.coef_.items())
    return abs(dot) / math.sqrt(size * share)


def make(case: Case) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(0)
    shape = (case.images, case.side, case.side)
    names = [str(i) for i in range(case.modalities)]
    images = {name: rng.normal(40, 9, shape).astype(np.float32) for name in names}
    return images, rng.standard_normal(case.images)
