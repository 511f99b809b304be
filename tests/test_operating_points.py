"""Sensitivity at a specificity and balanced accuracy: scikit-learn's, and naive bootstraps."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_curve

from fastmm.validate.operating_points import bootstrap_balanced_accuracy, bootstrap_sensitivity


def example(seed, n=90, ties=False):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    score = y + rng.normal(size=n)
    return y, (np.round(score) if ties else score), rng.integers(0, 30, n)


def by_roc(y, score, specificity):
    """Take the largest sensitivity on the ROC curve whose specificity is enough."""
    fpr, tpr, _ = roc_curve(y, score, drop_intermediate=False)
    return tpr[fpr <= 1 - specificity + 1e-12].max()


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("specificity", [0.0, 0.5, 0.9, 0.95, 1.0])
def test_sensitivity_is_that_of_the_roc_curve(ties, specificity):
    for seed in range(5):
        y, score, groups = example(seed, ties=ties)
        found = bootstrap_sensitivity(y, score, groups, specificity=specificity, n_resamples=20)
        assert found.sensitivity.value == pytest.approx(by_roc(y, score, specificity))
        called = score >= found.threshold
        assert called[y == 1].mean() == pytest.approx(found.sensitivity.value)
        assert (~called)[y == 0].mean() == pytest.approx(found.specificity)
        assert found.specificity >= specificity - 1e-12


def test_a_tenth_of_ten_negatives_is_one_of_them():
    y = np.r_[np.zeros(10), np.ones(10)]
    score = np.r_[np.arange(10.0), np.full(10, 8.5)]
    found = bootstrap_sensitivity(y, score, specificity=0.9, n_resamples=50)
    assert (found.sensitivity.value, found.threshold) == (1.0, 8.5)
    assert bootstrap_sensitivity(y, score, specificity=0.95, n_resamples=50).sensitivity.value == 0


def test_without_a_threshold_nothing_is_called_positive():
    y, score = np.array([0, 1] * 8), np.ones(16)
    found = bootstrap_sensitivity(y, score, specificity=0.9, n_resamples=50)
    assert found.sensitivity[:1] == (0.0,)
    assert found.threshold == np.inf
    assert found.specificity == 1


def naive(statistic, groups, n_resamples, seed):
    """Draw patients one by one, and compute each resample from its copied rows."""
    names = np.array(list(dict.fromkeys(groups)))
    rng = np.random.default_rng(seed)
    values = []
    for drawn in rng.integers(0, names.size, (n_resamples, names.size)):
        rows = np.concatenate([np.flatnonzero(groups == names[i]) for i in drawn])
        values.append(statistic(rows))
    return np.quantile(values, [0.025, 0.975])


@pytest.mark.parametrize("ties", [False, True])
def test_interval_of_the_sensitivity_equals_a_naive_bootstrap(ties):
    y, score, groups = example(7, ties=ties)
    found = bootstrap_sensitivity(y, score, groups, specificity=0.9, n_resamples=150, seed=3)
    ends = naive(lambda rows: by_roc(y[rows], score[rows], 0.9), groups, 150, 3)
    np.testing.assert_allclose(found.sensitivity[1:], ends)


@pytest.mark.parametrize("classes", [2, 3])
def test_balanced_accuracy_equals_scikit_learn_and_a_naive_bootstrap(classes):
    rng = np.random.default_rng(classes)
    y = rng.integers(0, classes, 90)
    predicted = np.where(rng.random(90) < 0.6, y, rng.integers(0, classes, 90))
    groups = rng.integers(0, 30, 90)
    found = bootstrap_balanced_accuracy(y, predicted, groups, n_resamples=150, seed=3)
    assert found.value == pytest.approx(balanced_accuracy_score(y, predicted))
    ends = naive(lambda rows: balanced_accuracy_score(y[rows], predicted[rows]), groups, 150, 3)
    np.testing.assert_allclose(found[1:], ends)


def test_texts_are_labels():
    y, predicted = np.array(["no", "yes"] * 9), np.array(["no", "yes", "yes"] * 6)
    found = bootstrap_balanced_accuracy(y, predicted, n_resamples=50)
    assert found.value == pytest.approx(balanced_accuracy_score(y, predicted))
    assert bootstrap_sensitivity(y, np.arange(18), n_resamples=50).specificity >= 0.9


def test_mistakes_are_told():
    y, score, _ = example(0)
    with pytest.raises(ValueError, match="`specificity` must be at most 1"):
        bootstrap_sensitivity(y, score, specificity=1.5)
    with pytest.raises(ValueError, match="`y` must hold 2 labels"):
        bootstrap_sensitivity(np.arange(90) % 3, np.ones((90, 3)))
    with pytest.raises(ValueError, match="must have one shape"):
        bootstrap_balanced_accuracy(y, y[1:])
