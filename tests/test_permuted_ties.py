"""Models that saw one class only: their permuted scores are .5, whatever rounding says."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fastmm import LSSVCCV, KernelRidgeCV, RidgeClassifierCV, RidgeCV
from fastmm.validate.permutation import permutation_test

RNG = np.random.default_rng(0)


def models(alpha):
    return (
        RidgeCV((alpha,), scoring="roc_auc"),
        RidgeClassifierCV((alpha,)),
        LSSVCCV((1 / alpha,), kernel="linear"),
        KernelRidgeCV((alpha,), fit_intercept=True, scoring="roc_auc"),
    )


@pytest.mark.parametrize("alpha", [1e-8, 1e-3, 10.0])
def test_two_groups_of_one_class_each_score_a_half_in_every_permutation(alpha):
    for n, d in ((28, 25), (9, 6), (24, 15)):
        X, groups = 50 * RNG.normal(size=(n, d)) + 1000, np.arange(n) * 2 // n
        for model in models(alpha):
            y = groups if "Classifier" in repr(model) or "LSSVC" in repr(model) else groups * 1.0
            found = permutation_test(model, X, y, groups, n_permutations=5, scoring="roc_auc")
            assert found.score == 0.5
            np.testing.assert_array_equal(found.permuted_scores, 0.5)


@pytest.mark.parametrize("alpha", [1e-6, 1.0])
def test_a_fold_whose_model_saw_one_class_gets_ties_and_the_others_their_scores(alpha):
    # Three patients, one of them sick: without it, the model saw one class.
    groups = np.repeat(np.arange(3), 6)
    X, y = 30 * RNG.normal(size=(18, 11)) + 300, (groups == 2).astype(int)
    for model in models(alpha)[:2]:
        found = permutation_test(model, X, y, groups, n_permutations=6, scoring="roc_auc")
        scores = model.fit(X, y, groups=groups)
        assert found.score == pytest.approx(scores.best_score_, abs=1e-12)
        assert len(set(np.round(found.permuted_scores, 12))) <= 3  # one for each sick patient


def test_labels_that_differ_within_patients_are_scored_alike():
    # Blocks of labels move between the patients; without the mixed one, one class is left.
    groups = np.repeat(np.arange(3), 4)
    X = 30 * RNG.normal(size=(12, 9)) + 300
    y = np.repeat([0, 0, 1], 4)
    y[8] = 0
    model = RidgeCV((1e-6,), scoring="roc_auc")
    found = permutation_test(model, X, y * 1.0, groups, n_permutations=12, scoring="roc_auc")
    expected = []
    for mixed in range(3):
        moved = np.zeros(12)
        moved[4 * mixed : 4 * mixed + 4] = y[8:]
        held_out = model.fit(X, moved, groups=groups).cv_predictions_
        less = held_out - np.array([moved[groups != g].mean() for g in groups])
        less[groups == mixed] = 0.0  # its model saw zeros only
        expected.append(roc_auc_score(moved, np.round(less, 12)))
    assert found.score == pytest.approx(expected[2], abs=1e-9)
    for score in found.permuted_scores:
        assert np.abs(score - np.array(expected)).min() < 1e-9
