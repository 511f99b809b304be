"""LinearCombination of scores, against scikit-learn and refits without each group."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from disk_sources import least, peak
from drawing import weights
from scipy.linalg import LinAlgWarning
from scipy.optimize import lsq_linear
from sklearn.linear_model import LinearRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmm import LinearCombination, Ridge, load_model, save_model
from fastmm.solve import triangular


def naive_weights(X, y, positive, fit_intercept=True, weight=None):
    """Minimum-norm least squares, or bounded least squares by another algorithm."""
    weight = np.ones(len(X)) if weight is None else weight
    X, mean, centre = X.astype(float), np.zeros(X.shape[1]), np.zeros(y.shape[1:])
    if fit_intercept:
        mean, centre = np.average(X, 0, weight), np.average(y, 0, weight)
    root = np.sqrt(weight)
    left, right = root[:, None] * (X - mean), (root * (y - centre).T).T
    if not positive:
        coef = np.linalg.lstsq(left, right, rcond=1e-12)[0].T
    elif y.ndim == 1:
        coef = lsq_linear(left, right, (0, np.inf), method="bvls", tol=1e-15).x
    else:
        columns = [lsq_linear(left, c, (0, np.inf), method="bvls", tol=1e-15).x for c in right.T]
        coef = np.stack(columns)
    return coef, centre - mean @ coef.T


def scores(n=60, m=4, targets=None, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(n, targets or 1))
    X = truth[:, :1] + rng.normal(size=(n, m)) * rng.uniform(0.3, 2, m)
    X[:, 1] *= -1
    y = truth + 0.3 * rng.normal(size=truth.shape) + 2
    groups = np.array([f"p{g}" for g in rng.integers(0, n // 4, n)], dtype="U9")
    groups[:5] = "big"
    return X, y if targets else y[:, 0], groups


@pytest.mark.parametrize("weighting", ["none", "positive", "zeros"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("targets", [None, 3])
@pytest.mark.parametrize("positive", [False, True])
def test_leaving_groups_out_equals_refits(xp_any, positive, targets, fit_intercept, weighting):
    X, y, groups = scores(targets=targets)
    weight = weights(weighting, len(X))
    there = None if weight is None else xp_any.asarray(weight)
    model = LinearCombination(positive=positive, fit_intercept=fit_intercept)
    model.fit(xp_any.asarray(X), xp_any.asarray(y), there, groups)
    coef, intercept = naive_weights(X, y, positive, fit_intercept, weight)
    np.testing.assert_allclose(xp_any.asnumpy(model.coef_), coef, atol=1e-10)
    predicted = X @ coef.T + intercept
    found = xp_any.asnumpy(model.predict(xp_any.asarray(X)))
    np.testing.assert_allclose(found, predicted, atol=1e-10)
    even = np.ones(len(X)) if weight is None else weight
    left = np.sqrt(even @ (y - predicted) ** 2)
    found = model.residual_ if targets is None else xp_any.asnumpy(model.residual_)
    np.testing.assert_allclose(found, left, rtol=1e-10)
    for name in np.unique(groups):
        test, train = groups == name, groups != name
        some = None if weight is None else weight[train]
        coef, intercept = naive_weights(X[train], y[train], positive, fit_intercept, some)
        expected = X[test] @ coef.T + intercept
        found = xp_any.asnumpy(model.cv_predictions_)[test]
        np.testing.assert_allclose(found, expected, atol=1e-9)
    if positive:
        assert (xp_any.asnumpy(model.coef_) >= 0).all()
        assert (xp_any.asnumpy(model.coef_) == 0).any()


@pytest.mark.parametrize("positive", [False, True])
def test_equals_scikit_learn(positive):
    X, y, _ = scores()
    weight = weights("positive", 60)
    model = LinearCombination(positive=positive).fit(X, y, weight)
    reference = LinearRegression(positive=positive).fit(X, y, weight)
    np.testing.assert_allclose(model.coef_, reference.coef_, atol=1e-10)
    assert model.intercept_ == pytest.approx(reference.intercept_, abs=1e-10)
    assert not hasattr(model, "cv_predictions_")
    assert model.rank_ == 4


def test_free_weights_are_those_of_ridge_without_a_penalty():
    X, y, groups = scores()
    model, ridge = LinearCombination().fit(X, y, None, groups), Ridge(0.0).fit(X, y, None, groups)
    np.testing.assert_allclose(model.cv_predictions_, ridge.cv_predictions_, atol=1e-10)


@pytest.mark.parametrize("positive", [False, True])
def test_deficient_scores_give_the_least_norm(positive):
    X, y, groups = scores()
    X = np.hstack([X, X[:, :1], np.full((60, 1), 0.1)])
    with pytest.warns(LinAlgWarning, match="rank 4 for 6 columns"):
        model = LinearCombination(positive=positive).fit(X, y, None, groups)
    coef, _ = naive_weights(X[:, :4] * np.array([2**0.5, 1, 1, 1]), y, positive)
    coef = np.concatenate([coef[:1] / 2**0.5, coef[1:], coef[:1] / 2**0.5, [0]])
    np.testing.assert_allclose(model.coef_, coef, atol=1e-10)
    for name in np.unique(groups):
        test, train = groups == name, groups != name
        coef, intercept = naive_weights(X[train][:, :4], y[train], positive)
        expected = X[test][:, :4] @ coef + intercept
        np.testing.assert_allclose(model.cv_predictions_[test], expected, atol=1e-9)


def test_a_score_that_only_one_patient_has():
    X, y, groups = scores()
    X[:, 3] = 0
    X[groups == "big", 3] = [1.0, 2.0, 0.5, -1.0, 3.0]
    for positive in (False, True):
        model = LinearCombination(positive=positive).fit(X, y, None, groups)
        train = groups != "big"
        coef, intercept = naive_weights(X[train], y[train], positive)
        expected = X[~train] @ coef + intercept
        np.testing.assert_allclose(model.cv_predictions_[~train], expected, atol=1e-9)


@pytest.mark.parametrize("positive", [False, True])
def test_scales_do_not_matter(positive):
    X, y, groups = scores()
    scale = np.array([1e-9, 1.0, 1e7, 1e3])
    plain = LinearCombination(positive=positive).fit(X, y, None, groups)
    for size in (1e-12, 1e12):
        model = LinearCombination(positive=positive).fit(X * scale, y * size, None, groups)
        np.testing.assert_allclose(model.coef_ * scale / size, plain.coef_, atol=1e-9)
        np.testing.assert_allclose(model.cv_predictions_ / size, plain.cv_predictions_, atol=1e-9)
        assert model.rank_ == 4


@pytest.mark.parametrize("positive", [False, True])
def test_float32_with_a_large_mean(xp_any, positive):
    X, y, _ = scores(200)
    X = (X + 1e4).astype(np.float32)
    model = LinearCombination(positive=positive).fit(xp_any.asarray(X), xp_any.asarray(y))
    coef, intercept = naive_weights(X, y, positive)
    found = xp_any.asnumpy(model.predict(xp_any.asarray(X)))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, X.astype(float) @ coef + intercept, atol=1e-6)


def test_few_rows_and_constant_targets():
    X = [[1.0, 2.0], [2.0, 1.0], [3.0, 3.0]]
    model = LinearCombination(positive=True).fit(X, [5.0, 5.0, 5.0])
    np.testing.assert_array_equal(model.coef_, [0.0, 0.0])
    assert model.intercept_ == 5.0
    assert model.residual_ == 0.0
    with pytest.warns(LinAlgWarning, match="rank 0"):
        model = LinearCombination().fit([[1.0, 2.0]], [3.0])
    assert model.predict([[7.0, 7.0]]) == 3.0


def test_groups_are_reduced_once(monkeypatch):
    """The work for a group left out does not grow with the number of all rows."""
    heights = []
    factor = triangular._factor
    monkeypatch.setattr(
        triangular, "_factor", lambda rows: heights.append(len(rows)) or factor(rows)
    )
    X, y, _ = scores(400)
    LinearCombination(positive=True).fit(X, y, None, np.arange(400) // 4)
    assert heights[0] == 400
    assert max(heights[1:]) <= 12
    assert len(heights) < 500


def test_labels_of_0_and_1_estimate_probabilities():
    rng = np.random.default_rng(0)
    sick = rng.random(4000) < 0.3
    X = sick[:, None] + rng.normal(size=(4000, 2)) * [0.5, 2.0]
    model = LinearCombination(positive=True).fit(X, sick)
    assert model.predict(X).mean() == pytest.approx(sick.mean(), abs=1e-12)
    assert ((model.predict(X) > 0.5) == sick).mean() > 0.8


def test_a_second_fit_forgets_the_first_and_files_keep_the_model(tmp_path):
    X, y, groups = scores()
    model = LinearCombination(positive=True).fit(X, y, None, groups)
    again = load_model(save_model(model, tmp_path / "weights.fastmm"))
    assert again.predict(X).tobytes() == model.predict(X).tobytes()
    assert pickle.loads(pickle.dumps(model)).predict(X).tobytes() == model.predict(X).tobytes()
    assert not hasattr(model.fit(X, y), "cv_predictions_")


def test_what_is_refused():
    X, y, groups = scores()
    with pytest.raises(ValueError, match="NaN or infinity"):
        LinearCombination().fit(np.where(X > 1, np.nan, X), y)
    with pytest.raises(ValueError, match="at least 2 groups"):
        LinearCombination().fit(X, y, None, np.zeros(60))
    with pytest.raises(ValueError, match="empty or missing"):
        LinearCombination().fit(X, y, None, np.where(groups == "big", "", groups))


@pytest.mark.filterwarnings("ignore:The scores have rank")  # some checks give few rows
@parametrize_with_checks([LinearCombination(), LinearCombination(positive=True)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_scores_on_disk_are_combined_where_they_have_room(tmp_path):
    X, y, groups = scores(2000)
    np.save(tmp_path / "X.npy", X)
    lazy = np.load(tmp_path / "X.npy", mmap_mode="r")
    one = LinearCombination(positive=True).fit(X, y, None, groups)

    def fit(limit):
        return LinearCombination(positive=True, memory_limit=limit).fit(lazy, y, None, groups)

    limit = least(fit)
    two, held = peak(lambda: fit(limit))
    assert held < 1.3 * limit
    np.testing.assert_array_equal(two.coef_, one.coef_)
    np.testing.assert_array_equal(two.cv_predictions_, one.cv_predictions_)
    np.testing.assert_array_equal(two.predict(lazy), one.predict(X))
