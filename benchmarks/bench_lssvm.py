"""Search the C of a least-squares support vector machine by leaving whole patients out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastmm
from fastmm.solve.grouped import make_folds

FULL, SMALL = (3000, 300, 300), (80, 6, 20)  # rows, features, patients
CS = np.logspace(-2, 3, 6)
FOLDS = 10


@pytest.mark.parametrize("cv", [FOLDS, None], ids=["10 folds", "each patient"])
def bench_lssvc_cv(timed: Any, arrays: Any, pick: Any, cv: int | None) -> None:
    X, y, groups = make_cohort(*pick(FULL, SMALL))
    timed(
        lambda a: fastmm.LSSVCCV(CS, cv=cv).fit(a, y, groups=groups),
        arrays.xp.asarray(X),
        group=task(X, groups, cv),
        check=lambda model: error_of(model, arrays.asnumpy(model.cv_decision_), X, y, groups, cv),
        tolerance=1e-8,
    )


@pytest.mark.parametrize("gammas", [(0.3, 1.0, 3.0)], ids=["3 widths"])
def bench_lssvc_cv_widths(timed: Any, arrays: Any, pick: Any, gammas: tuple[float, ...]) -> None:
    X, y, groups = make_cohort(*pick(FULL, SMALL))
    gamma = [factor / (X.shape[1] * X.var()) for factor in gammas]
    timed(
        lambda a: fastmm.LSSVCCV(CS, gamma=gamma, cv=FOLDS).fit(a, y, groups=groups),
        arrays.xp.asarray(X),
        group=f"{task(X, groups, FOLDS)}, {len(gamma)} widths",
        check=lambda model: without_search(model, X, y, groups),
        tolerance=1e-6,
    )


def bench_lssvc_cv_sklearn(benchmark: Any, pick: Any) -> None:
    svm = pytest.importorskip("sklearn.svm", reason="scikit-learn is not installed")
    selection = pytest.importorskip("sklearn.model_selection")
    X, y, groups = make_cohort(*pick(FULL, SMALL))
    codes = make_folds(len(y), groups, FOLDS).codes
    search = selection.GridSearchCV(
        svm.SVC(), {"C": CS}, scoring="roc_auc", cv=selection.PredefinedSplit(codes)
    )
    # About a minute on two cores: one round, without the repetitions that `timed` makes.
    describe(benchmark, "scikit-learn", X, groups, pick)
    found = benchmark.pedantic(search.fit, (X, y), rounds=1)
    compare(benchmark, found.best_score_, X, y, groups, codes)


def bench_lssvc_cv_torchkm(benchmark: Any, pick: Any) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    peer = pytest.importorskip("torchkm.cvksvm", reason="torchkm is not installed")
    X, y, groups = make_cohort(*pick(FULL, SMALL))
    codes = make_folds(len(y), groups, FOLDS).codes
    K, signs = fastmm.rbf_kernel(X), np.where(y, 1.0, -1.0)

    def search() -> Any:
        machine = peer.cvksvm(
            torch.from_numpy(K),
            torch.from_numpy(signs),
            len(CS),
            torch.from_numpy(1 / (2 * len(y) * CS)),  # its objective has 1/n before the losses
            foldid=torch.from_numpy(codes + 1),
            nfolds=FOLDS,
            device="cpu",
        )
        machine.fit()
        return machine.pred.numpy()

    describe(benchmark, "torchkm", X, groups, pick)
    found = benchmark.pedantic(search, rounds=1)
    areas = [mean_area(y, column, codes) for column in found.T]
    compare(benchmark, max(areas), X, y, groups, codes)


def without_search(model: Any, X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> float:
    """Compare held-out decisions of a search with those at the choice alone, by Cholesky."""
    alone = fastmm.LSSVCCV([model.C_], gamma=model.gamma_, cv=FOLDS).fit(X, y, groups=groups)
    found = np.asarray(model.cv_decision_.tolist())
    return float(abs(found - alone.cv_decision_).max())


def describe(benchmark: Any, peer: str, X: np.ndarray, groups: np.ndarray, pick: Any) -> None:
    name = task(X, groups, FOLDS)
    benchmark.group = f"{name}, CPU"
    sizes = "small" if pick(FULL, SMALL) is SMALL else "full"
    benchmark.extra_info.update(device="CPU", peer=peer, task=name, sizes=sizes)


def compare(
    benchmark: Any, area: float, X: np.ndarray, y: np.ndarray, groups: np.ndarray, codes: np.ndarray
) -> None:
    """Note how far the mean area over the folds lies below the peer's; 0.005 is the most."""
    model = fastmm.LSSVCCV(CS, cv=FOLDS).fit(X, y, groups=groups)
    ours = mean_area(y, model.cv_decision_, codes)
    benchmark.extra_info.update(area=round(ours, 5), peer_area=round(float(area), 5))
    if len(y) == FULL[0]:
        assert ours >= area - 0.005


def mean_area(y: np.ndarray, decision: np.ndarray, codes: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    folds = [codes == fold for fold in np.unique(codes)]
    return float(np.mean([roc_auc_score(y[rows], decision[rows]) for rows in folds]))


def task(X: np.ndarray, groups: np.ndarray, cv: int | None) -> str:
    rows, features = X.shape
    left_out = f"{cv} folds" if cv else f"{groups.max() + 1} groups"
    return f"LS-SVM search {rows} x {features}, {left_out}, {CS.size} Cs"


def error_of(
    model: Any, decision: np.ndarray, X: np.ndarray, y: np.ndarray, groups: np.ndarray, cv: Any
) -> float:
    """Compare two folds with refits by the bordered system as it is written."""
    codes = make_folds(len(y), groups, cv).codes
    square = (X**2).sum(1)
    K = np.exp(-model.gamma_ * np.maximum(square[:, None] + square - 2 * X @ X.T, 0))
    errors = []
    for fold in (0, codes.max()):
        train, test = codes != fold, codes == fold
        n = int(train.sum())
        system = np.ones((n + 1, n + 1))
        system[0, 0] = 0
        system[1:, 1:] = K[np.ix_(train, train)] + np.eye(n) / model.C_
        found = np.linalg.solve(system, np.concatenate([[0], np.where(y[train], 1.0, -1.0)]))
        expected = K[np.ix_(test, train)] @ found[1:] + found[0]
        errors.append(np.abs(expected - decision[test]).max())
    return float(max(errors))


def make_cohort(rows: int, features: int, patients: int) -> tuple[np.ndarray, ...]:
    """Make two classes that a curved surface parts, with noise and with traits of patients."""
    rng = np.random.default_rng(0)
    groups = np.arange(rows) * patients // rows
    hidden = rng.standard_normal((rows, 10)) + 0.5 * rng.standard_normal((patients, 10))[groups]
    X = hidden @ rng.standard_normal((10, features)) / 3 + rng.standard_normal((rows, features))
    signal = hidden[:, 0] + hidden[:, 1] * hidden[:, 2] + 0.7 * rng.standard_normal(rows)
    return X, signal > np.median(signal), groups
