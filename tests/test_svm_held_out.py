"""Decisions of left-out groups are those of machines fitted anew without them."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import weights
from sklearn.metrics.pairwise import rbf_kernel
from svm_by_hinge import cohort, oracle, signs_of

from fastmm import SVC
from fastmm.solve.svm import growth as svm_growth


@pytest.mark.parametrize("weighting", ["none", "zeros"])
@pytest.mark.parametrize("classes", [2, 3])
def test_leaving_groups_out_equals_cold_refits(xp_any, classes, weighting):
    X, y, groups = cohort(classes=classes, shift=2.0)
    weight = weights(weighting, len(X))
    there = None if weight is None else xp_any.asarray(weight)
    model = SVC(5.0, gamma=0.2, tol=1e-9).fit(xp_any.asarray(X), y, there, groups)
    found = xp_any.asnumpy(model.cv_decision_).reshape(len(X), -1)
    names = np.unique(y)[1:] if classes == 2 else np.unique(y)
    for group in np.unique(groups):
        part = (groups != group) * (np.ones(len(X)) if weight is None else weight)
        for column, name in zip(found.T, names, strict=True):
            expected, _ = oracle(rbf_kernel(X, gamma=0.2), signs_of(y, name), 5.0, part)
            np.testing.assert_allclose(
                column[groups == group], expected[groups == group], atol=1e-5
            )
    plain = SVC(5.0, gamma=0.2, tol=1e-9).fit(xp_any.asarray(X), y, there)
    np.testing.assert_array_equal(
        xp_any.asnumpy(plain.dual_coef_), xp_any.asnumpy(model.dual_coef_)
    )
    assert not hasattr(plain, "cv_decision_")
    assert not hasattr(model.fit(xp_any.asarray(X), y), "cv_decision_")


def test_a_group_without_support_vectors_is_not_solved(monkeypatch):
    X, y, _ = cohort(shift=4.0)
    model = SVC(5.0).fit(X, y)
    groups = np.where(np.isin(np.arange(len(X)), model.support_), np.arange(len(X)), -1)
    asked = []
    refit = svm_growth.GrowingMachine.refit
    monkeypatch.setattr(
        svm_growth.GrowingMachine,
        "refit",
        lambda self, *given: asked.append(1) or refit(self, *given),
    )
    again = SVC(5.0).fit(X, y, groups=groups)
    assert len(asked) == len(model.support_) < len(X)
    idle = groups < 0
    np.testing.assert_allclose(
        again.cv_decision_[idle], model.decision_function(X)[idle], atol=1e-9
    )


def test_a_group_that_holds_all_of_a_class():
    X, y, _ = cohort(20)
    groups = np.where(y == "benign", 0, np.arange(20))
    model = SVC().fit(X, y, groups=groups)
    np.testing.assert_array_equal(model.cv_decision_[groups == 0], 1.0)
