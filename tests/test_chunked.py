"""Fits from rows in chunks equal those of all rows at once, whatever the rows come from."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from harness import run_python
from scipy.linalg import LinAlgWarning
from sklearn.base import clone
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmm import (
    KernelRidge,
    NystromFeatures,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    RidgeCV,
    rbf_kernel,
)
from fastmm.solve.chunked import left_out
from fastmm.solve.chunked.factor import factor_of
from fastmm.solve.chunked.local import LocalRows
from fastmm.solve.chunked.rows import rows_of
from fastmm.solve.chunked.sums import others

ALPHAS = (1e-2, 1.0, 100.0)
SOURCES = ["array", "memmap", "zarr", "sliced", "dask"]
SHAPES = [(300, 12), (60, 150)]


class Sliced:
    """What h5py gives: shape, dtype and slices, nothing else."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, key):
        assert isinstance(key, tuple)
        assert all(isinstance(each, slice) for each in key)
        return self.array[key]


def source(kind, X, tmp_path):
    """Return X as something that is read in chunks, and the parameter that asks for it."""
    limit = {"memory_limit": 5 * 8 * X.shape[1] ** 2 + 400_000}
    if kind == "memmap":
        file = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", X.dtype, X.shape)
        file[:] = X
        file.flush()
        return np.load(tmp_path / "X.npy", mmap_mode="r"), limit
    if kind == "zarr":
        zarr = pytest.importorskip("zarr", reason="zarr is not installed")
        made = zarr.create_array(tmp_path / "X.zarr", shape=X.shape, dtype=X.dtype, chunks=(40, 7))
        made[:] = X
        return made, limit
    if kind == "sliced":
        return Sliced(X), limit
    if kind == "dask":
        da = pytest.importorskip("dask.array", reason="dask is not installed")
        return da.from_array(X, chunks=(97, max(1, X.shape[1] // 2))), {}
    return X, limit


def cohort(n, d, targets=None, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * rng.uniform(0.5, 3, d) + 5
    y = X @ rng.normal(size=(d, targets or 1)) + 3 * rng.normal(size=(n, targets or 1))
    weight = rng.uniform(0, 2, n) * (rng.random(n) > 0.1)
    return X, y if targets else y[:, 0], weight, rng.integers(0, n // 8, n)


def equal(one, two, names, rtol=1e-7):
    for name in names:
        found, expected = (np.asarray(getattr(model, name)) for model in (one, two))
        if expected.dtype.kind == "f":
            scale = np.abs(expected).max()
            np.testing.assert_allclose(found, expected, rtol=0, atol=rtol * scale, err_msg=name)
        else:
            np.testing.assert_array_equal(found, expected, err_msg=name)


SEARCHED = ["alpha_", "coef_", "intercept_", "best_score_", "cv_scores_", "cv_predictions_"]


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cv", [None, 4])
def test_a_search_finds_the_same(kind, shape, cv, tmp_path):
    X, y, weight, groups = cohort(*shape, targets=3)
    rows, limit = source(kind, X, tmp_path)
    thorough = kind in ("memmap", "dask")  # the others differ in how they are read
    for fit_intercept in (True, False) if thorough else (True,):
        for given in (None, weight) if thorough else (weight,):
            model = RidgeCV(ALPHAS, cv=cv, fit_intercept=fit_intercept)
            expected = clone(model).fit(X, y, given, groups)
            found = model.set_params(**limit).fit(rows, y, given, groups)
            equal(found, expected, [*SEARCHED, "solver_"])
            np.testing.assert_allclose(np.asarray(found.predict(rows)), expected.predict(X))


@pytest.mark.parametrize("kind", ["memmap", "dask"])
@pytest.mark.parametrize("scoring", ["neg_mean_squared_error", "r2", "roc_auc", "accuracy",
                                     "balanced_accuracy"])  # fmt: skip
def test_every_score_is_the_same(kind, scoring, tmp_path):
    X, y, weight, groups = cohort(300, 12)
    labels = (y > np.median(y)).astype(float)
    rows, limit = source(kind, X, tmp_path)
    expected = RidgeCV(ALPHAS, scoring=scoring).fit(X, labels, weight, groups)
    found = RidgeCV(ALPHAS, scoring=scoring, **limit).fit(rows, labels, weight, groups)
    equal(found, expected, SEARCHED)


@pytest.mark.parametrize("kind", ["memmap", "dask"])
@pytest.mark.parametrize("shape", SHAPES)
def test_blocks_and_targets_have_their_own_penalties(kind, shape, tmp_path):
    X, y, weight, groups = cohort(*shape, targets=3)
    rows, limit = source(kind, X, tmp_path)
    blocks = {"ct": slice(0, 5), "age": np.arange(5, shape[1])}
    for options in ({"blocks": blocks, "n_candidates": 4}, {"alpha_per_target": True}):
        expected = RidgeCV(ALPHAS, **options).fit(X, y, weight, groups)
        found = RidgeCV(ALPHAS, **options, **limit).fit(rows, y, weight, groups)
        equal(found, expected, [name for name in SEARCHED if name != "alpha_"])
        assert np.all(np.ravel(list(np.atleast_1d(found.alpha_))) == np.ravel(
            list(np.atleast_1d(expected.alpha_))))  # fmt: skip


@pytest.mark.parametrize("kind", ["memmap", "dask"])
@pytest.mark.parametrize("shape", SHAPES)
def test_classifiers_are_the_same(kind, shape, tmp_path):
    X, y, weight, groups = cohort(*shape)
    labels = np.array(["a", "b", "c"])[np.digitize(y, np.quantile(y, [0.3, 0.6]))]
    rows, limit = source(kind, X, tmp_path)
    for model in (RidgeClassifierCV(ALPHAS, class_weight="balanced", cv=3), RidgeClassifier(2.0)):
        expected = clone(model).fit(X, labels, weight, groups)
        found = model.set_params(**limit).fit(rows, labels, weight, groups)
        equal(found, expected, ["classes_", "coef_", "intercept_", "cv_decision_"])
        np.testing.assert_array_equal(found.cv_predictions_, expected.cv_predictions_)
        np.testing.assert_array_equal(np.asarray(found.predict(rows)), expected.predict(X))
        decisions = np.asarray(found.decision_function(rows))
        np.testing.assert_allclose(decisions, expected.decision_function(X), atol=1e-10)


@pytest.mark.parametrize("kind", ["memmap", "dask"])
def test_left_out_predictions_are_those_of_scikit_learn(kind, tmp_path):
    X, y, _, groups = cohort(200, 9)
    rows, limit = source(kind, X, tmp_path)
    expected = cross_val_predict(SklearnRidge(2.0), X, y, groups=groups, cv=LeaveOneGroupOut())
    found = Ridge(2.0, **limit).fit(rows, y, groups=groups)
    np.testing.assert_allclose(found.cv_predictions_, expected, rtol=1e-8)
    np.testing.assert_allclose(found.coef_, SklearnRidge(2.0).fit(X, y).coef_, rtol=1e-8)


@pytest.mark.parametrize("kind", ["memmap", "dask"])
@pytest.mark.parametrize("alpha", [0.0, 1.0, [1.0, 2.0, 3.0], [0.0, 1.0, 2.0]])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.filterwarnings("ignore:The design has rank:scipy.linalg.LinAlgWarning")
def test_given_penalties_are_solved_the_same(kind, alpha, shape, tmp_path):
    X, y, weight, _ = cohort(*shape, targets=3)
    rows, limit = source(kind, X, tmp_path)
    expected = Ridge(alpha).fit(X, y, weight)
    found = Ridge(alpha, **limit).fit(rows, y, weight)
    equal(found, expected, ["coef_", "intercept_"])
    assert found.residual_ < 1e-12
    assert not hasattr(found, "statistics_")


@pytest.mark.parametrize("mean", [0.0, 10.0])
def test_designs_whose_sums_lose_digits_are_solved_from_their_factor(mean, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 8)) * np.logspace(0, -7, 8) + mean
    y, groups = X @ np.logspace(0, 7, 8) + rng.normal(size=200), np.arange(200) // 4
    rows, limit = source("memmap", X, tmp_path)
    expected = RidgeCV((1e-12, 1e-10)).fit(X, y, groups=groups)
    found = RidgeCV((1e-12, 1e-10), **limit).fit(rows, y, groups=groups)
    assert found.solver_ == expected.solver_ == "svd"
    equal(found, expected, ["cv_predictions_", "best_score_"], rtol=1e-6)


def test_a_fold_that_holds_a_direction_alone_is_refitted(tmp_path):
    X, y, _, groups = cohort(120, 6)
    groups = np.sort(groups)
    X[:, 5] = (groups == 3) * np.arange(120.0)  # no other fold has seen this column
    rows, limit = source("memmap", X, tmp_path)
    expected = RidgeCV((1e-9, 1.0)).fit(X, y, groups=groups)
    found = RidgeCV((1e-9, 1.0), **limit).fit(rows, y, groups=groups)
    equal(found, expected, SEARCHED, rtol=1e-6)


def test_groups_that_span_chunks_and_large_folds_go_both_ways(tmp_path, monkeypatch):
    """Folds far larger than d are fitted from sums, small ones from their rows."""
    X, y, weight, _ = cohort(400, 30)
    groups = np.repeat([0, 1, 2], [150, 200, 50])
    groups[::9] = 3 + np.arange(len(groups[::9])) % 7
    rows, limit = source("memmap", X, tmp_path)
    seen = []
    original = left_out.models_without
    monkeypatch.setattr(
        "fastmm.solve.chunked.problem.models_without",
        lambda problem, folds, chosen, *rest: (
            seen.extend(chosen.tolist()) or original(problem, folds, chosen, *rest)
        ),
    )
    found = RidgeCV(ALPHAS, **limit).fit(rows, y, weight, groups)
    equal(found, RidgeCV(ALPHAS).fit(X, y, weight, groups), SEARCHED)
    assert 0 < len(seen) < 10


def test_all_but_one_is_never_a_difference():
    parts = [float(i) for i in range(5)]
    assert list(others(parts, 100.0)) == [110.0 - part for part in parts]
    assert list(others([1.0], None)) == [None]


def test_factors_join_to_the_factor_of_all_rows():
    X, y, weight, _ = cohort(90, 4, targets=2)
    whole = factor_of(X, y, weight, X.mean(0), y.mean(0), True)
    parts = [factor_of(X[i::3], y[i::3], weight[i::3], X.mean(0), y.mean(0), True)
             for i in range(3)]  # fmt: skip
    both = parts[0] + parts[1] + parts[2]
    np.testing.assert_allclose(abs(both.upper), abs(whole.upper), atol=1e-10)
    x, mean = both.means()
    np.testing.assert_allclose(x + X.mean(0), np.average(X, 0, weight))
    np.testing.assert_allclose(mean + y.mean(0), np.average(y, 0, weight))


@pytest.mark.parametrize("kind", ["memmap", "sliced", "dask"])
def test_values_that_are_not_finite_are_named_by_their_row(kind, tmp_path):
    X, y, _, _ = cohort(300, 12)
    X[217, 3] = np.nan
    rows, limit = source(kind, X, tmp_path)
    for model in (Ridge(), RidgeCV(), NystromFeatures(n_components=9)):
        with pytest.raises(ValueError, match=r"NaN or infinity.*\(217, 3\)"):
            model.set_params(**limit).fit(rows, y)


def test_wrong_arguments_are_refused(tmp_path):
    X, y, _, _ = cohort(300, 12)
    rows, limit = source("memmap", X, tmp_path)
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[300, 299\]"):
        Ridge(**limit).fit(rows, y[1:])
    with pytest.raises(ValueError, match="`memory_limit` must be at least"):
        Ridge(memory_limit="10kB").fit(rows, y)
    with pytest.raises(ValueError, match="smaller Gram matrix"):
        Ridge(memory_limit="1kB").fit(rows, y)
    with pytest.raises(ValueError, match=r"`memory_limit` must be bytes"):
        Ridge(memory_limit="much").fit(rows, y)
    with pytest.raises(ValueError, match=r'solver="iterative"` needs all rows'):
        Ridge(solver="iterative", **limit).fit(rows, y)
    with pytest.raises(ValueError, match="Complex data"):
        Ridge().fit(source("dask", X.astype(complex), tmp_path)[0], y)
    model = Ridge(**limit).fit(rows, y)
    with pytest.raises(ValueError, match="expecting 12 features"):
        model.predict(rows[:, :5])
    with pytest.warns(LinAlgWarning, match="rank 11 for 12"):
        Ridge(0.0, **limit).fit(np.hstack([X[:, :11], X[:, :1]]), y)


@pytest.mark.parametrize("kernel", ["rbf", "linear", "laplacian"])
def test_kernel_ridge_on_centres_is_the_same_in_chunks(kernel, tmp_path):
    X, y, weight, groups = cohort(300, 6, targets=2)
    X, y = X - 5, np.sin(y / 5)
    options = {"alpha": [0.1, 2.0], "kernel": kernel, "gamma": "scale", "fit_intercept": True,
               "solver": "nystrom", "n_components": 30}  # fmt: skip
    expected = KernelRidge(tol=1e-8, **options).fit(X, y, weight, groups)
    for kind in ("memmap", "dask"):
        rows, limit = source(kind, X, tmp_path)
        found = KernelRidge(**options, **limit).fit(rows, y, weight, groups)
        np.testing.assert_array_equal(found.component_indices_, expected.component_indices_)
        predictions = np.asarray(found.predict(rows))
        np.testing.assert_allclose(predictions, expected.predict(X), atol=1e-6)
        np.testing.assert_allclose(found.cv_predictions_, expected.cv_predictions_, atol=1e-6)


def test_exact_kernel_machines_say_what_else_there_is(tmp_path):
    X, y, _, _ = cohort(300, 6)
    rows, _ = source("memmap", X, tmp_path)
    expected = KernelRidge(kernel="rbf").fit(X, y)
    for limit, solver in (("20MB", "direct"), ("600kB", "cg")):
        options = {"memory_limit": limit, "n_components": 10, "tol": 1e-11}
        found = KernelRidge(kernel="rbf", **options).fit(rows, y)
        assert found.solver_ == solver
        np.testing.assert_allclose(found.predict(X), expected.predict(X), atol=1e-7)
    with pytest.raises(ValueError, match=r'solver="nystrom".*NystromFeatures'):
        KernelRidge(kernel="rbf", memory_limit="40kB").fit(rows, y)


def test_features_of_all_rows_span_the_kernel_itself():
    X, y, _, groups = cohort(60, 4)
    features = NystromFeatures(n_components=60, gamma=0.02).fit(X)
    np.testing.assert_allclose(
        features.transform(X) @ features.transform(X).T, rbf_kernel(X, gamma=0.02), atol=1e-8
    )
    exact = KernelRidge(0.5, kernel="rbf", gamma=0.02, fit_intercept=True).fit(X, y, groups=groups)
    found = Ridge(0.5).fit(features.transform(X), y, groups=groups)
    np.testing.assert_allclose(found.cv_predictions_, exact.cv_predictions_, rtol=1e-5)


def test_the_width_of_a_kernel_is_that_of_all_rows(tmp_path):
    X, _, weight, _ = cohort(300, 6)
    expected = NystromFeatures().fit(X, sample_weight=weight)
    for kind in ("memmap", "dask"):
        rows, limit = source(kind, X, tmp_path)
        found = NystromFeatures(**limit).fit(rows, sample_weight=weight)
        assert found.gamma_ == pytest.approx(expected.gamma_, rel=1e-12)
        features = np.asarray(found.transform(rows))
        np.testing.assert_allclose(features, expected.transform(X), atol=1e-12)


RANDOM = {"check_sample_weight_equivalence_on_dense_data": "centres are drawn from rows"}


@parametrize_with_checks(
    [NystromFeatures(n_components=5)], expected_failed_checks=lambda estimator: RANDOM
)
def test_scikit_learn_contract_of_features(estimator, check):
    check(estimator)


def test_chunks_fit_the_limit_and_cut_no_part_of_a_store(tmp_path):
    X, _, _, _ = cohort(1000, 20)
    rows = LocalRows(Sliced(X), 200_000)
    parts = rows.chunks(100_000)
    assert parts[0].start == 0
    assert parts[-1].stop == 1000
    assert all(one.stop == two.start for one, two in pairwise(parts))
    assert max(part.stop - part.start for part in parts) * 20 * 8 * 4 <= 100_000
    stored, _ = source("zarr", X, tmp_path)
    assert all(part.start % 40 == 0 for part in LocalRows(stored, 300_000).chunks())
    assert rows_of(X, None) is None


def test_a_file_larger_than_the_limit_is_never_in_memory(tmp_path):
    """Resident memory, the pages of the mapped file among them, stays within the limit."""
    code = f"""
    import resource, threading, numpy as np
    from fastmm import RidgeCV
    n, d = 40_000, 200                                             # 64 MB
    X = np.lib.format.open_memmap({str(tmp_path / "X.npy")!r}, "w+", np.float64, (n, d))
    rng = np.random.default_rng(0)
    for i in range(0, n, 5000):
        X[i : i + 5000] = rng.normal(size=(5000, d))
    X.flush()
    del X
    y, groups = rng.normal(size=n), np.arange(n) // 10
    RidgeCV((1.0,), memory_limit="24MB").fit(rng.normal(size=(6000, d)), y[:6000])  # imports
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")                                            # the peak starts anew
    def resident(name):
        with open("/proc/self/status") as file:
            return next(int(l.split()[1]) * 1024 for l in file if l.startswith(name))
    before = resident("VmRSS")
    X = np.load({str(tmp_path / "X.npy")!r}, mmap_mode="r")
    RidgeCV((0.1, 1.0), memory_limit="24MB").fit(X, y, groups=groups)
    print("took", resident("VmHWM") - before)
    """
    try:
        with open("/proc/self/clear_refs", "w") as file:  # noqa: PTH123
            file.write("5")
    except OSError:
        pytest.skip("this system does not tell the peak of resident memory")
    took = int(run_python(code, OPENBLAS_NUM_THREADS="1").split("took")[1].split()[0])
    assert took < 1.3 * 24e6
