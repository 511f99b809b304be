"""RidgeClassifier and its search, against scikit-learn and refits without each group."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import two_labels, weights
from scipy.linalg import LinAlgWarning
from sklearn.base import clone
from sklearn.linear_model import RidgeClassifier as SklearnRidgeClassifier
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, GroupKFold, LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmm import RidgeClassifier, RidgeClassifierCV, load_model, save_model
from fastmm.solve.grouped import make_folds

ALPHAS = (0.05, 1.0, 30.0)
NAMES = np.array(["benign", "grade 1", "grade 2"])


def cohort(n=60, d=6, classes=2, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.arange(n) % 7 % classes)
    X = rng.normal(size=(n, d)) + codes[:, None] * rng.normal(size=d)
    groups = np.array([f"p{g}" for g in rng.integers(0, n // 4, n)], dtype="U9")
    groups[:3] = "big"
    return X, NAMES[codes], groups


def naive_held_out(X, y, groups, alpha, weight=None, fit_intercept=True):
    """Refit scikit-learn's ridge on -1 and 1 without each group."""
    from sklearn.linear_model import Ridge

    names = np.unique(y)
    signs = np.where(y[:, None] == (names[1:] if names.size == 2 else names), 1.0, -1.0)
    held_out = np.empty(signs.shape)
    for name in np.unique(groups):
        test, train = groups == name, groups != name
        part = None if weight is None else weight[train]
        model = Ridge(alpha, fit_intercept=fit_intercept, solver="svd")
        held_out[test] = (
            model.fit(X[train], signs[train], part).predict(X[test]).reshape(-1, signs.shape[1])
        )
    return held_out[:, 0] if names.size == 2 else held_out


def labels_of(decision, names):
    return names[decision.argmax(1) if decision.ndim == 2 else (decision > 0).astype(int)]


@pytest.mark.parametrize("class_weight", [None, "balanced", {"benign": 0.3, "grade 1": 2.5}])
@pytest.mark.parametrize("weighting", ["none", "positive", "zeros"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("shape", [(60, 6), (40, 90)])
def test_equals_scikit_learn(xp_any, shape, classes, weighting, class_weight):
    X, y, _ = cohort(*shape, classes)
    weight = weights(weighting, len(X))
    there = None if weight is None else xp_any.asarray(weight)
    for fit_intercept in (True, False):
        options = {"fit_intercept": fit_intercept, "class_weight": class_weight}
        model = RidgeClassifier(0.7, **options).fit(xp_any.asarray(X), y, there)
        reference = SklearnRidgeClassifier(0.7, solver="svd", **options).fit(X, y, weight)
        # Of shape (d,) for two classes in some versions of scikit-learn, against its documents.
        expected = reference.coef_.reshape(-1, X.shape[1])
        np.testing.assert_allclose(xp_any.asnumpy(model.coef_), expected, atol=1e-9)
        found = model.intercept_ if not fit_intercept else xp_any.asnumpy(model.intercept_)
        np.testing.assert_allclose(found, reference.intercept_, atol=1e-9)
        decision = xp_any.asnumpy(model.decision_function(xp_any.asarray(X)))
        np.testing.assert_allclose(decision, reference.decision_function(X), atol=1e-9)
        np.testing.assert_array_equal(model.predict(xp_any.asarray(X)), reference.predict(X))
    np.testing.assert_array_equal(model.classes_, reference.classes_)


@pytest.mark.parametrize("weighting", ["none", "positive", "zeros"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("shape", [(60, 6), (40, 90)])
def test_leaving_groups_out_equals_refits(xp_any, shape, classes, weighting):
    X, y, groups = cohort(*shape, classes)
    weight = weights(weighting, len(X))
    there = None if weight is None else xp_any.asarray(weight)
    for alpha in ALPHAS:
        expected = naive_held_out(X, y, groups, alpha, weight)
        single = RidgeClassifier(alpha).fit(xp_any.asarray(X), y, there, groups)
        search = RidgeClassifierCV((alpha,)).fit(xp_any.asarray(X), y, there, groups)
        for model in (single, search):
            found = xp_any.asnumpy(model.cv_decision_)
            np.testing.assert_allclose(found, expected, atol=1e-9)
            np.testing.assert_array_equal(model.cv_predictions_, labels_of(expected, np.unique(y)))
        plain = RidgeClassifier(alpha).fit(xp_any.asarray(X), y, there)
        found = xp_any.asnumpy(search.coef_)
        np.testing.assert_allclose(found, xp_any.asnumpy(plain.coef_), atol=1e-9)
    assert not hasattr(plain, "cv_decision_")
    assert not hasattr(single.fit(xp_any.asarray(X), y), "cv_decision_")


@pytest.mark.parametrize("class_weight", ["balanced", {"benign": 5.0}])
def test_class_weights_multiply_sample_weights(class_weight):
    X, y, groups = cohort()
    weight = weights("positive", 60)
    full = weight * compute_sample_weight(class_weight, y)
    model = RidgeClassifierCV(ALPHAS, class_weight=class_weight).fit(X, y, weight, groups)
    plain = RidgeClassifierCV(ALPHAS).fit(X, y, full, groups)
    np.testing.assert_allclose(model.cv_decision_, plain.cv_decision_, rtol=1e-10)
    np.testing.assert_allclose(model.cv_scores_, plain.cv_scores_, rtol=1e-10)


@pytest.mark.parametrize("shape", [(60, 6), (40, 90)])
def test_search_by_accuracy_equals_grid_search(shape):
    X, y, groups = cohort(*shape)
    search = GridSearchCV(SklearnRidgeClassifier(), {"alpha": ALPHAS}, cv=LeaveOneGroupOut())
    search.fit(X, y, groups=groups)
    model = RidgeClassifierCV(ALPHAS, scoring="accuracy").fit(X, y, groups=groups)
    np.testing.assert_allclose(model.cv_scores_, search.cv_results_["mean_test_score"], rtol=1e-12)
    assert model.alpha_ == search.best_params_["alpha"]
    assert model.best_score_ == model.cv_scores_[ALPHAS.index(model.alpha_)]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("weighting", ["none", "zeros"])
def test_scorings_over_all_held_out_decisions(classes, weighting):
    X, y, groups = cohort(classes=classes)
    weight, names = weights(weighting, 60), np.unique(y)
    codes = make_folds(60, groups).codes
    signs = np.where(y[:, None] == (names[1:] if classes == 2 else names), 1.0, -1.0)
    held_out = [naive_held_out(X, y, groups, a, weight).reshape(60, -1) for a in ALPHAS]
    even = np.ones(60) if weight is None else weight
    means = np.empty(signs.shape)
    for fold in range(codes.max() + 1):
        means[codes == fold] = np.average(signs[codes != fold], 0, even[codes != fold])
    expected = [
        np.mean(
            [
                roc_auc_score(sign > 0, column, sample_weight=weight)
                for sign, column in zip(signs.T, (decision - means).T, strict=True)
            ]
        )
        for decision in held_out
    ]
    model = RidgeClassifierCV(ALPHAS).fit(X, y, weight, groups)
    np.testing.assert_allclose(model.cv_scores_, expected, rtol=1e-12)
    assert model.alpha_ == ALPHAS[int(np.argmax(expected))]
    model = RidgeClassifierCV(ALPHAS, scoring="balanced_accuracy").fit(X, y, weight, groups)
    found = [labels_of(decision.squeeze(), names) for decision in held_out]
    expected = [balanced_accuracy_score(y, labels, sample_weight=weight) for labels in found]
    np.testing.assert_allclose(model.cv_scores_, expected, rtol=1e-12)


@pytest.mark.parametrize("cv", [None, 3, GroupKFold(4)])
def test_folds(cv):
    X, y, groups = cohort()
    given = None if cv is None else groups
    model = RidgeClassifierCV((2.0,), cv=cv).fit(X, y, groups=given)
    codes = make_folds(len(X), given, cv).codes
    np.testing.assert_allclose(model.cv_decision_, naive_held_out(X, y, codes, 2.0), atol=1e-10)


@two_labels
def test_labels_keep_their_dtype(xp_any, labels):
    X, y, groups = cohort()
    y = labels[(y != "benign").astype(int)]
    model = RidgeClassifierCV(class_weight="balanced").fit(xp_any.asarray(X), y, groups=groups)
    found = model.predict(xp_any.asarray(X))
    found = found if labels.dtype.kind in "UO" else xp_any.asnumpy(found)
    assert found.dtype == labels.dtype == model.classes_.dtype == model.cv_predictions_.dtype
    assert (found == y).mean() > 0.7


def test_float32_with_a_large_mean(xp_any):
    rng = np.random.default_rng(2)
    X = (rng.normal(size=(200, 30)) + 1e4).astype(np.float32)
    y = X.astype(float) @ rng.normal(size=30) > 1e4
    y[:2] = False, True
    wide = X.astype(np.float64)
    reference = SklearnRidgeClassifier(1.0, solver="svd").fit(wide - wide.mean(0), y)
    model = RidgeClassifier().fit(xp_any.asarray(X), y)
    found = xp_any.asnumpy(model.decision_function(xp_any.asarray(X)))
    assert found.dtype == np.float32
    expected = reference.decision_function(wide - wide.mean(0))
    assert np.abs(found - expected).max() < 1e-6


@pytest.mark.parametrize("model", [RidgeClassifier(0.0), RidgeClassifierCV((0.0,))])
def test_alpha_0_gives_the_minimum_norm(model):
    X, y, groups = cohort()
    X = np.hstack([X, 3 * X[:, :2]])
    with pytest.warns(LinAlgWarning, match="rank 6 for 8 features"):
        model = clone(model).fit(X, y, None, groups)
    reference = SklearnRidgeClassifier(1e-9, solver="svd").fit(X, y)
    np.testing.assert_allclose(model.coef_[0], reference.coef_.ravel(), atol=1e-6)
    with pytest.warns(LinAlgWarning, match="rank 6 for 8 features"):
        plain = RidgeClassifier(0.0).fit(X, y)
    np.testing.assert_allclose(model.coef_, plain.coef_, atol=1e-9)


def test_pipelines_and_files(tmp_path):
    X, y, _ = cohort(classes=3)
    piped = make_pipeline(StandardScaler(), RidgeClassifierCV(ALPHAS)).fit(X, y)
    assert piped.score(X, y) == accuracy_score(y, piped.predict(X)) > 0.5
    for model in (RidgeClassifier(), RidgeClassifierCV()):
        again = load_model(save_model(model.fit(X, y), tmp_path / "model.fastmm"))
        np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_the_same_input_gives_the_same_bits():
    X, y, groups = cohort()
    one, two = (RidgeClassifierCV(ALPHAS).fit(X, y, groups=groups) for _ in range(2))
    assert one.coef_.tobytes() == two.coef_.tobytes()
    assert one.cv_decision_.tobytes() == two.cv_decision_.tobytes()


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (RidgeClassifier(-1.0), ValueError, "`alpha` must be a finite number of at least 0"),
        (RidgeClassifier(np.nan), ValueError, "`alpha`"),
        (RidgeClassifierCV((1.0, -1.0)), ValueError, r"`alphas\[1\]`"),
        (RidgeClassifierCV(()), ValueError, "`alphas` must hold at least one value"),
        (RidgeClassifierCV(scoring="f1"), ValueError, "`scoring`"),
        (RidgeClassifierCV(cv=3.5), TypeError, "`cv`"),
        (
            RidgeClassifier(class_weight="even"),
            ValueError,
            '`class_weight` must be None, "balanced"',
        ),
        (RidgeClassifier(class_weight={7: 1.0}), ValueError, "names 7, which is no class"),
        (RidgeClassifier(class_weight={0: -1.0}), ValueError, r"`class_weight\[0\]`"),
        (RidgeClassifier(class_weight={0: 0.0}), ValueError, "only one class, 1"),
    ],
)
def test_bad_parameters(model, error, message):
    X, y = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 1.0]], [0, 0, 1, 1]
    with pytest.raises(error, match=message):
        model.fit(X, y)


def test_one_class_is_refused():
    X, y, groups = cohort()
    with pytest.raises(ValueError, match="only one class, benign"):
        RidgeClassifier().fit(X, np.full(60, "benign"))
    with pytest.raises(ValueError, match="only one class, benign"):
        RidgeClassifierCV().fit(X, y, (y == "benign").astype(float), groups)


@parametrize_with_checks([RidgeClassifier(), RidgeClassifierCV()])
def test_scikit_learn_contract(estimator, check):
    check(estimator)
