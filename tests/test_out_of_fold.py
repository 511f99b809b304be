"""Predictions of patients left out, ranked together: one scale, folds dealt anew."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.metrics import roc_auc_score

from fastmm.blocks import Block
from fastmm.validate.dealing import deal_rows
from fastmm.validate.out_of_fold import OutOfFold, deal_folds, out_of_fold


class Shrinking(BaseEstimator):
    """The difference of class means, the longer the better it did on rows left out."""

    def fit(self, blocks, y, groups=None):
        X, signs = blocks["x"].values.astype(float), 2.0 * y - 1
        weights = signs / np.bincount(y)[y]
        self.weights_ = X.T @ weights
        agreed = X @ self.weights_ - np.einsum("ij,ij->i", X, X) * weights  # each without itself
        self.length_ = np.exp(8 * np.corrcoef(agreed, signs)[0, 1])
        self.cv_decision_ = self.length_ * agreed
        return self

    def decision_function(self, blocks):
        return self.length_ * (blocks["x"].values.astype(float) @ self.weights_)

    def probabilities(self, decision):
        return np.c_[1 - (decision > 0), decision > 0]

    def winners(self, decision):
        return (decision > 0).astype(int)


def test_scores_of_noise_are_ranked_on_one_scale():
    y, areas = np.arange(30) % 2, {"decision": [], "score": []}
    for seed in range(60):
        noise = np.random.default_rng(seed).normal(size=(30, 20))
        blocks = {"x": Block(noise, np.ones(30, bool))}
        found = out_of_fold(Shrinking(), blocks, y, np.arange(30))
        assert (np.sign(found.score) == np.sign(found.decision)).all()
        for name, own in areas.items():
            own.append(roc_auc_score(y, getattr(found, name)))
    mean = {name: np.mean(own) for name, own in areas.items()}
    assert mean["decision"] < 0.42, mean
    assert mean["score"] == pytest.approx(0.5, abs=0.05), mean


def test_a_scale_divides_the_scores_of_all_classes():
    decision = np.array([[1.0, -2.0, 1.0], [0.0, 3.0, -3.0]])
    found = OutOfFold(decision, decision, np.zeros(2), 2, np.array([2.0, 4.0]))
    np.testing.assert_array_equal(found.score, decision / [[2.0], [4.0]])
    np.testing.assert_array_equal(OutOfFold(decision, decision, np.zeros(2), 2).score, decision)


def test_folds_dealt_anew_are_averaged_on_one_scale():
    noise = np.random.default_rng(1).normal(size=(30, 20))
    y, groups = np.arange(30) % 2, np.arange(30) // 2 // 2 * 2 + np.arange(30) % 2
    blocks = {"x": Block(noise, np.ones(30, bool))}
    found = out_of_fold(Shrinking(), blocks, y, groups, repeats=2)
    scores, probabilities = [], []
    for seed in range(2):
        fold = deal_rows(y, groups, 10, seed)
        score, probability = np.empty(30), np.empty((30, 2))
        for test in (fold == each for each in range(10)):
            model = Shrinking().fit({"x": blocks["x"].take(~test)}, y[~test], groups[~test])
            decision = model.decision_function({"x": blocks["x"].take(test)})
            score[test] = decision / np.sqrt(np.mean(model.cv_decision_**2))
            probability[test] = model.probabilities(decision)
        scores.append(score)
        probabilities.append(probability)
    assert (scores[0] != scores[1]).any()
    np.testing.assert_allclose(found.score, np.mean(scores, axis=0), rtol=1e-12)
    np.testing.assert_array_equal(found.probability, np.mean(probabilities, axis=0))
    np.testing.assert_array_equal(found.prediction, found.score > 0)
    assert (found.folds, found.repeats, found.fits) == (10, 2, 20)


def test_fewer_groups_than_folds_are_left_out_once():
    noise = np.random.default_rng(1).normal(size=(18, 4))
    blocks, y = {"x": Block(noise, np.ones(18, bool))}, np.arange(18) % 2
    found = out_of_fold(Shrinking(), blocks, y, np.arange(18) % 9, repeats=3)
    assert (found.folds, found.repeats) == (9, 1)


def test_scores_without_spread_stay_what_they_are():
    """A model that tells nothing has the same score for all, and an area of one half."""
    from fastmm import MultimodalClassifier, TableModality

    y = np.arange(8) % 2
    blocks = {"t": TableModality().extract({"same": ["1"] * 8})}
    found = out_of_fold(MultimodalClassifier({"t": TableModality()}), blocks, y, np.arange(8))
    np.testing.assert_array_equal(found.score, found.decision)
    assert roc_auc_score(y, found.score) == 0.5


def test_modalities_are_compared_in_the_same_folds():
    """Rows that lack one are left out of the folds of all, and nobody is dealt anew."""
    from types import SimpleNamespace

    from fastmm import ImageModality
    from fastmm.findings.validation import REPEATS, Plan, validate_sets
    from fastmm.stopwatch import Stopwatch

    rng = np.random.default_rng(3)
    y, groups, here = np.arange(24) % 2, np.arange(24), np.ones(24, bool)
    here[[0, 5]] = False
    values = rng.normal(size=(24, 3)).astype("float32")
    blocks = {"all": Block(values, np.ones(24, bool)), "some": Block(values * here[:, None], here)}
    plan = Plan({name: ImageModality() for name in blocks}, ("ridge",), "stack", False)
    cohort = SimpleNamespace(y=y, groups=groups)
    sets = [("ridge", ("all",)), ("ridge", ("some",))]
    found = validate_sets(cohort, plan, sets, blocks, Stopwatch(), lambda _: lambda *_: None)
    folds = deal_folds(y, groups, REPEATS)
    assert len(folds) == REPEATS
    for one, rows in zip(found, (np.ones(24, bool), here), strict=True):
        model = plan.classifier("ridge", one.names)
        own = {name: blocks[name].take(rows) for name in one.names}
        expected = out_of_fold(
            model, own, y[rows], groups[rows], folds=[each[rows] for each in folds]
        )
        np.testing.assert_array_equal(one.score, expected.score)
    alone = out_of_fold(model, own, y[here], groups[here], repeats=REPEATS)
    assert (alone.score != found[1].score).any()


def test_a_fold_that_takes_all_of_a_class_from_some_rows_is_dealt_anew():
    from fastmm.findings.validation import _fit_for

    y = np.array([0, 0, 1, 1])
    assert _fit_for([np.array([0, 1, 0, 1])], y)
    assert not _fit_for([np.array([0, 1, 2, 2])], y)
