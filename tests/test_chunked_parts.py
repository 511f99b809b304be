"""The parts of chunked fits: factors, chunks, memory, kernels and features of all rows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from chunked_sources import cohort, source
from disk_sources import Sliced
from harness import run_python
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmm import (
    KernelRidge,
    NystromFeatures,
    Ridge,
    rbf_kernel,
)
from fastmm.solve.chunked.factor import factor_of
from fastmm.solve.chunked.local import LocalRows
from fastmm.solve.chunked.rows import rows_of
from fastmm.solve.chunked.sums import others


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
