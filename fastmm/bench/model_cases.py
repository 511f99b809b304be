"""The stages of models: stack, Gram matrix, ridge search, LS-SVM search, the whole way."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.bench.cases import Case, Stage, error
from fastmm.bench.image_cases import BEFORE, CENTER, INTERCEPT, WIDTH, interpolated, windowed

__all__ = ["MODEL_STAGES"]

ALPHAS = np.logspace(-2, 4, 20).tolist()
IMAGE_ALPHAS = np.logspace(0, 6, 20).tolist()  # of features that are pixels
CS = np.logspace(-2, 3, 6).tolist()
FOLDS, SLICES, SIDE = 10, 5, 64


def stack_case(space: Space, rows: int) -> Case:
    """Standardise the features of two image modalities and a table, side by side."""
    from fastmm.fuse import stack_features

    rng = np.random.default_rng(0)
    widths = {"ct": 16384, "mr": 16384, "table": 800}
    host = {
        name: rng.standard_normal((rows, width), np.float32) * 3 + 5
        for name, width in widths.items()
    }
    some = np.hstack([block[:, ::97] for block in host.values()]).astype(np.float64)
    some = (some - some.mean(0)) / some.std(0)
    picked = np.concatenate([
        start + np.arange(0, width, 97)
        for start, width in zip((0, 16384, 32768), widths.values(), strict=True)
    ])  # fmt: skip
    n_bytes = sum(block.nbytes for block in host.values())
    return Case(
        task=f"standardise and stack float32 {rows} x ({' + '.join(map(str, widths.values()))})",
        call=lambda blocks: stack_features(blocks).X,
        arguments=({name: space.asarray(block) for name, block in host.items()},),
        n_bytes=2 * n_bytes,
        flops=6 * n_bytes / 4,
        dtype="float32",
        check=lambda X: error(X[:, space.asarray(picked)], some, space),
        tolerance=1e-5,
    )


def gram_case(space: Space, n: int, d: int) -> Case:
    """Make the Gram matrix of an RBF kernel."""
    from fastmm.pairwise import rbf_kernel

    X = np.random.default_rng(0).standard_normal((n, d), np.float32)
    few = X[: min(n, 64)].astype(np.float64)
    square = (few**2).sum(1)
    expected = np.exp(-np.maximum(square[:, None] + square - 2 * few @ few.T, 0) / d)
    return Case(
        task=f"RBF Gram matrix float32 {n} x {d}",
        call=lambda x: rbf_kernel(x, gamma=1 / d),
        arguments=(space.asarray(X),),
        n_bytes=4 * (n * d + n * n),
        flops=n * n * d + 10 * n * n,  # one triangle of it
        dtype="float32",
        check=lambda K: error(K[: len(few), : len(few)], expected, space),
        tolerance=5e-6,
    )


def ridge_case(space: Space, n: int, d: int, groups: int) -> Case:
    """Search the penalty of a ridge model, leaving each patient out."""
    from fastmm.solve.ridge.search import RidgeCV

    X, y, patients = _cohort(n, d, groups)
    r = min(n, d)
    work = n * d * r + 9 * r**3 + len(ALPHAS) * n * (n // groups) * r
    return Case(
        task=f"ridge search float64 {n} x {d}, {groups} patients left out, {len(ALPHAS)} alphas",
        call=lambda a, b: RidgeCV(ALPHAS).fit(a, b, groups=patients),
        arguments=(space.asarray(X), space.asarray(y)),
        n_bytes=2 * X.nbytes,
        flops=work,
        dtype="float64",
        check=lambda model: _refit_error(
            X, y, patients == 0, model.alpha_, space.to_host(model.cv_predictions_)
        ),
        tolerance=1e-8,
        items=len(ALPHAS) * groups,
        unit="fits/s",
    )


def lssvm_case(space: Space, n: int, d: int) -> Case:
    """Search the C of a least-squares SVM by ten folds of patients."""
    from fastmm.solve.kernel.lssvm_search import LSSVCCV

    X, score, folds = _cohort(n, d, FOLDS)
    y = (score > np.median(score)).astype(np.int64)
    return Case(
        task=f"LS-SVM search float64 {n} x {d}, {FOLDS} folds of patients, {len(CS)} values of C",
        call=lambda a: LSSVCCV(CS, gamma=1 / d).fit(a, y, groups=folds),
        arguments=(space.asarray(X),),
        n_bytes=8 * (n * d + 2 * n * n),
        flops=2 * n * n * d + len(CS) * n**3,
        dtype="float64",
        check=lambda model: _lssvm_error(model, X, y, folds == 0, space),
        tolerance=1e-7,
        items=len(CS) * FOLDS,
        unit="fits/s",
    )


def whole_case(space: Space, patients: int) -> Case:
    """Go from stored pixels of two modalities to a ridge model validated by patient."""
    from fastmm.fuse import stack_features
    from fastmm.image.preprocessing import preprocess
    from fastmm.solve.ridge.search import RidgeCV

    xp = space.xp
    scans = {name: _studies(space, patients, seed) for seed, name in enumerate(("ct", "mr"))}
    y = np.random.default_rng(2).standard_normal(patients)

    def features(stored: Any) -> Any:
        small = preprocess(stored, (SIDE, SIDE), intercept=INTERCEPT, window=(CENTER, WIDTH))
        return small.reshape(patients, SLICES, -1).mean(axis=1)

    def whole(ct: Any, mr: Any, target: Any) -> Any:
        X = stack_features({"ct": features(ct), "mr": features(mr)}).X
        return X, RidgeCV(IMAGE_ALPHAS).fit(X, target, groups=np.arange(patients))

    first = [
        interpolated(windowed(space.to_host(x[:SLICES])), SIDE).mean(axis=0).ravel()
        for x in scans.values()
    ]

    def check(found: Any) -> float:
        X, model = found
        means = [features(x) for x in scans.values()]
        images = max(
            error(ours[0], theirs, space) for ours, theirs in zip(means, first, strict=True)
        )
        X = np.asarray(space.to_host(X), np.float64)
        left_out = np.arange(patients) == 0
        held_out = space.to_host(model.cv_predictions_)
        # What reads float32 features is exact only to their rounding.
        return max(images, _refit_error(X, y, left_out, model.alpha_, held_out) / 10)

    n, width = patients, 2 * SIDE * SIDE
    return Case(
        task=f"{patients} patients x {SLICES} slices x 2 modalities, int16 {BEFORE} x {BEFORE}, "
        f"to a ridge model over {len(ALPHAS)} alphas, each patient left out",
        call=whole,
        arguments=(scans["ct"], scans["mr"], xp.asarray(y)),
        n_bytes=sum(x.nbytes for x in scans.values()),
        flops=2.0 * n * n * width + 9.0 * min(n, width) ** 3,
        dtype="float64",
        check=check,
        tolerance=5e-6,
        items=2 * SLICES * patients,
    )


MODEL_STAGES = (
    Stage(
        "stack",
        stack_case,
        {"small": (200,), "medium": (1000,), "large": (4000,)},
        lambda rows: 3.5 * rows * 33568 * 4,
    ),
    Stage(
        "gram",
        gram_case,
        {"small": (1000, 512), "medium": (4000, 512), "large": (10000, 1024)},
        lambda n, d: 4.0 * (n * n + 4 * n * d),
    ),
    Stage(
        "ridge",
        ridge_case,
        {"small": (300, 200, 30), "medium": (1000, 800, 50), "large": (2000, 2000, 100)},
        lambda n, d, groups: 8.0 * (6 * n * d + 4 * n * n),
    ),
    Stage(
        "lssvm",
        lssvm_case,
        {"small": (500, 100), "medium": (1500, 300), "large": (3000, 300)},
        lambda n, d: 8.0 * (4 * n * d + 8 * n * n),
    ),
    Stage(
        "end to end",
        whole_case,
        {"small": (20,), "medium": (200,), "large": (1000,)},
        lambda patients: 1.2 * 2 * SLICES * patients * BEFORE * BEFORE * 2,
    ),
)


def _cohort(n: int, d: int, groups: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    y = X @ rng.standard_normal(d) + np.sqrt(d) * rng.standard_normal(n)
    return X, y, np.arange(n) * groups // n


def _studies(space: Space, patients: int, seed: int) -> Any:
    # Noise of a few slices, mixed and brightened patient by patient: no two are equal.
    rng = np.random.default_rng(seed)
    few = space.asarray(rng.integers(0, 2048, (16, BEFORE, BEFORE), np.int16))
    shades = rng.integers(0, 2048, (patients * SLICES, 2, 2))
    stored = space.xp.empty((patients * SLICES, BEFORE, BEFORE), np.int16)
    half = BEFORE // 2
    for i in range(len(stored)):
        stored[i] = few[i % 16] ^ few[i // 16 % 16] if i >= 16 else few[i]
        for row in (0, 1):
            for column in (0, 1):
                corner = np.s_[i, row * half :, column * half :]
                stored[corner] += np.int16(shades[i, row, column] // 4)
    return stored


def _refit_error(X: Any, y: Any, left_out: Any, alpha: float, held_out: Any) -> float:
    """Compare the predictions of the rows left out with a refit without them."""
    train = ~left_out
    mean, centre = X[train].mean(0), y[train].mean()
    left, right = X[train] - mean, X[left_out] - mean
    if left.shape[0] < left.shape[1]:
        dual = np.linalg.solve(left @ left.T + alpha * np.eye(len(left)), y[train] - centre)
        coef = left.T @ dual
    else:
        gram = left.T @ left + alpha * np.eye(left.shape[1])
        coef = np.linalg.solve(gram, left.T @ (y[train] - centre))
    return float(np.abs(right @ coef + centre - held_out[left_out]).max() / np.abs(y).max())


def _lssvm_error(model: Any, X: Any, y: Any, left_out: Any, space: Space) -> float:
    """Compare the decisions of the first fold with the bordered system without it."""
    from scipy.spatial.distance import cdist

    train = ~left_out
    K = np.exp(-cdist(X, X[train], "sqeuclidean") / X.shape[1])
    n = int(train.sum())
    system = np.zeros((n + 1, n + 1))
    system[0, 1:] = system[1:, 0] = 1
    system[1:, 1:] = K[train] + np.eye(n) / model.C_
    solution = np.linalg.solve(system, np.r_[0, np.where(y[train] == 1, 1.0, -1.0)])
    expected = K[left_out] @ solution[1:] + solution[0]
    return error(np.asarray(space.to_host(model.cv_decision_))[left_out], expected, Space("cpu"))
