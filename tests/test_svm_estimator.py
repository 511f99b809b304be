"""SVC as an estimator: same bits, files, threads, arguments and refusals."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from drawing import weights
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import linear_kernel
from sklearn.utils.estimator_checks import parametrize_with_checks
from svm_by_hinge import cohort, error, oracle, rounded, signs_of

from fastmm import SVC
from fastmm.solve.svm.solution import solve_svm


def test_an_indefinite_kernel_is_refused_where_it_has_no_minimum():
    rng = np.random.default_rng(3)
    K = rng.normal(size=(40, 40))
    K = K + K.T
    y = np.arange(40) % 2
    with pytest.raises(ValueError, match="not positive semidefinite"):
        SVC(10.0, kernel="precomputed").fit(K, y)
    expected, _ = oracle(K, 2.0 * y - 1, 0.01)  # K + 50 I is definite
    assert error(SVC(0.01, kernel="precomputed").fit(K, y).decision_function(K), expected) < 1e-5


def test_a_limit_of_steps_warns():
    X, y, _ = cohort(shift=0.3)
    with pytest.warns(ConvergenceWarning, match="did not converge in 1 steps"):
        model = SVC(10.0, max_iter=1).fit(X, y)
    assert model.residual_ > 1e-6


def test_the_same_bits_again_and_after_pickling():
    X, y, _ = cohort()
    new = cohort(seed=1)[0]
    model = SVC().fit(X, y)
    expected = model.decision_function(new)
    np.testing.assert_array_equal(SVC().fit(X.copy(), y).decision_function(new), expected)
    X[:] = 0
    np.testing.assert_array_equal(model.decision_function(new), expected)
    again = pickle.loads(pickle.dumps(model)).decision_function(new)
    np.testing.assert_array_equal(again, expected)


def test_a_saved_model_predicts_the_same(tmp_path):
    pytest.importorskip("safetensors", reason="model files need safetensors")
    from fastmm import load_model, save_model

    X, y, groups = cohort(classes=3)
    model = SVC().fit(X, y, groups=groups)
    loaded = load_model(save_model(model, tmp_path / "svm.fastmm"))
    np.testing.assert_array_equal(loaded.decision_function(X), model.decision_function(X))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def test_threads_are_as_they_were_after_fits_at_once():
    from threading import Thread

    from threadpoolctl import threadpool_info

    X, y, _ = cohort()
    before, expected = threadpool_info(), SVC().fit(X, y).dual_coef_
    models = [SVC() for _ in range(4)]
    threads = [Thread(target=model.fit, args=(X, y)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [pool["num_threads"] for pool in threadpool_info()[: len(before)]] == [
        pool["num_threads"] for pool in before
    ]
    for model in models:
        np.testing.assert_allclose(model.dual_coef_, expected, atol=1e-12)


def test_solve_svm_is_usable_alone(xp_any):
    X, y, _ = cohort()
    K, signs, weight = linear_kernel(X, X), signs_of(y), weights("zeros", len(X))
    dual, intercept = solve_svm(
        xp_any.asarray(K), xp_any.asarray(signs), 3.0, sample_weight=xp_any.asarray(weight)
    )
    expected, _ = oracle(K, signs, 3.0, weight)
    assert error(K @ xp_any.asnumpy(dual) + intercept, expected) < 1e-5
    with pytest.raises(ValueError, match="`C`"):
        solve_svm(K, signs, 0.0)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (SVC(0.0), "`C` must be a finite number greater than 0, got 0.0"),
        (SVC(np.nan), "`C`"),
        (SVC(tol=0.0), "`tol`"),
        (SVC(max_iter=0), "`max_iter`"),
        (SVC(kernel="gauss"), '`kernel` must be one of "linear"'),
        (SVC(gamma=0.0), "`gamma`"),
        (SVC(kernel="precomputed"), r"must have shape \(4, 4\), got \(4, 2\)"),
        (SVC(class_weight={"x": 1}), "`class_weight`"),
    ],
)
def test_bad_parameters(model, message):
    with pytest.raises(ValueError, match=message):
        model.fit([[0.0, 1.0], [1.0, 0.0], [3.0, 1.0], [2.0, 2.0]], [0, 1, 0, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": ["ill"] * 4}, "only one class, ill"),
        ({"y": [0, 1, 1, 1], "sample_weight": [0, 1, 1, 1]}, "only one class, 1"),
        ({"y": [0, 1, 1]}, r"inconsistent numbers of samples: \[4, 3\]"),
        ({"groups": [1, 1, 1, 1]}, "at least 2 groups"),
    ],
)
def test_bad_arguments(arguments, message):
    given = {"y": [0, 1, 0, 1], **arguments}
    with pytest.raises(ValueError, match=message):
        SVC().fit([[0.0], [1.0], [3.0], [2.0]], **given)


@parametrize_with_checks(
    [SVC(), SVC(kernel="linear"), SVC(kernel="precomputed")], expected_failed_checks=rounded
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)
