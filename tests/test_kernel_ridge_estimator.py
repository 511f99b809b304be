"""KernelRidge as an estimator: files, pipelines, arguments and refusals."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from kernel_ridge_by_definition import cohort
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmm import KernelRidge, load_model, save_model


def test_pipelines_files_and_later_changes_of_the_data(tmp_path):
    X, y, _ = cohort()
    new = cohort(seed=1)[0]
    model = KernelRidge(0.5, kernel="rbf").fit(X, y)
    expected = model.predict(new)
    piped = make_pipeline(StandardScaler(), KernelRidge(0.5, kernel="rbf")).fit(X, y)
    assert np.isfinite(piped.predict(new)).all()
    for solver in ("direct", "nystrom"):
        model = KernelRidge(0.5, kernel="rbf", solver=solver, n_components=9).fit(X, y)
        expected = model.predict(new)
        again = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(again.predict(new), expected)
        loaded = load_model(save_model(model, tmp_path / "model.fastmm"))
        np.testing.assert_array_equal(loaded.predict(new), expected)
    model = KernelRidge(0.5, kernel="rbf").fit(X, y)
    expected = model.predict(new)
    X[:] = 0
    np.testing.assert_array_equal(model.predict(new), expected)


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (KernelRidge(-1.0), ValueError, "`alpha` must be a finite number of at least 0, got -1.0"),
        (KernelRidge(np.nan), ValueError, "`alpha`"),
        (KernelRidge([1.0, 2.0]), ValueError, "one for each of the 1 targets, got 2"),
        (KernelRidge(0.0, solver="cg"), ValueError, 'greater than 0 for `solver="cg"`, got 0'),
        (KernelRidge(0.0, solver="nystrom"), ValueError, "`alpha` must be greater than 0"),
        (KernelRidge(kernel="gauss"), ValueError, '`kernel` must be one of "linear"'),
        (KernelRidge(kernel="rbf", gamma=0.0), ValueError, "`gamma`"),
        (KernelRidge(kernel="rbf", gamma="wide"), ValueError, "`gamma`"),
        (KernelRidge(kernel="poly", degree=0), ValueError, "`degree`"),
        (KernelRidge(solver="svd"), ValueError, '`solver` must be one of "auto", "direct"'),
        (KernelRidge(n_components=0, solver="cg"), ValueError, "`n_components`"),
        (KernelRidge(tol=0, solver="cg"), ValueError, "`tol`"),
        (KernelRidge(max_iter=0, solver="cg"), ValueError, "`max_iter`"),
        (KernelRidge(seed=-1, solver="cg"), ValueError, "`seed`"),
        (KernelRidge(kernel="precomputed"), ValueError, r"must have shape \(4, 4\), got \(4, 2\)"),
        (
            KernelRidge(kernel="precomputed", solver="cg"),
            ValueError,
            r"must have shape \(4, 4\), got \(4, 2\)",
        ),
        (
            KernelRidge(kernel="precomputed", solver="nystrom"),
            ValueError,
            r"must have shape \(4, 4\), got \(4, 2\)",
        ),
    ],
)
def test_bad_parameters(model, error, message):
    with pytest.raises(error, match=message):
        model.fit([[0.0, 1.0], [1.0, 0.0], [3.0, 1.0], [2.0, 2.0]], [0, 1, 0, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": [0.0, np.nan, 1, 2]}, "1 of 4 values, the first at index 1"),
        ({"y": [0.0, 1.0]}, r"inconsistent numbers of samples: \[4, 2\]"),
        ({"y": None}, "requires y to be passed"),
        ({"groups": [1, 1, 1, 1]}, "at least 2 groups"),
        ({"sample_weight": [1, -1, 1, 1]}, "`sample_weight` must not be negative"),
    ],
)
def test_bad_arguments(arguments, message):
    given = {"y": [0.0, 1, 0, 1], **arguments}
    with pytest.raises(ValueError, match=message):
        KernelRidge().fit([[0.0], [1.0], [3.0], [2.0]], **given)


def test_an_asymmetric_kernel_is_refused():
    for solver in ("direct", "cg"):
        with pytest.raises(ValueError, match="must be symmetric"):
            KernelRidge(kernel="precomputed", solver=solver).fit(np.tri(4), np.arange(4.0))


def test_groups_need_a_solver_that_can_leave_them_out():
    X, y, groups = cohort()
    with pytest.raises(ValueError, match='take `solver="nystrom"`'):
        KernelRidge(solver="cg").fit(X, y, groups=groups)


@parametrize_with_checks(
    [
        KernelRidge(),
        KernelRidge(kernel="rbf", fit_intercept=True),
        KernelRidge(kernel="precomputed"),
        KernelRidge(kernel="rbf", solver="cg"),
        KernelRidge(kernel="rbf", solver="nystrom", fit_intercept=True),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)
