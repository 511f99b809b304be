"""The multimodal classifier, against its pieces done by hand in float64."""

import numpy as np
import pytest
from multimodal_cohorts import CONFIGURATIONS, MODALITIES, draw_cohort
from sklearn.base import clone
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from fastmm import ImageModality, MultimodalClassifier, TableModality
from fastmm.blocks import Block
from fastmm.fusion.block_fusion import BlockFusion
from fastmm.validate.out_of_fold import out_of_fold


@pytest.fixture
def cohort():
    return draw_cohort()


def naive_kernel(blocks, columns):
    """The missing-modality rule, entry by entry, on standardised float64 rows."""
    n = len(blocks["mr"].present)
    rows = {}
    for name, values in columns.items():
        here = blocks[name].present
        scaled = StandardScaler().fit_transform(values[here].astype(float))
        rows[name] = np.zeros(values.shape)
        rows[name][here] = scaled / np.sqrt(values.shape[1])
    K = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            both = [m for m in rows if blocks[m].present[i] and blocks[m].present[j]]
            d = [sum(blocks[m].present[k] for m in rows) / len(rows) for k in (i, j)]
            K[i, j] = sum(rows[m][i] @ rows[m][j] for m in both) / len(rows) / np.sqrt(d[0] * d[1])
    return K, rows


def test_stacked_matrix_has_the_kernel_of_the_missing_modality_rule(cohort):
    blocks, _, _ = cohort
    fusion = BlockFusion("stack")
    X = fusion.fit(blocks, MODALITIES).astype(float)
    case = fusion.table_["case"].transform(blocks["case"].values)
    columns = {"ct": blocks["ct"].values, "mr": blocks["mr"].values, "case": case}
    K, _ = naive_kernel(blocks, columns)
    np.testing.assert_allclose(X @ X.T, K, atol=1e-5)
    np.testing.assert_array_equal(fusion.transform(blocks), X.astype("float32"))


def test_kernel_fusion_is_the_weighted_sum_and_semidefinite(cohort):
    blocks, _, _ = cohort
    fusion = BlockFusion("kernel")
    K = fusion.fit(blocks, MODALITIES)
    case = fusion.table_["case"].transform(blocks["case"].values)
    columns = {"ct": blocks["ct"].values, "mr": blocks["mr"].values, "case": case}
    _, rows = naive_kernel(blocks, columns)
    expected, d = np.zeros(K.shape), np.zeros(len(K))
    for name, own in rows.items():
        here = blocks[name].present
        gamma = 1 / (own.shape[1] * own[here].var())
        expected += np.outer(here, here) * rbf_kernel(own, gamma=gamma) / 3
        d += here / 3
    np.testing.assert_allclose(K, expected / np.sqrt(np.outer(d, d)), atol=1e-5)
    assert np.linalg.eigvalsh(K).min() > -1e-6
    np.testing.assert_allclose(fusion.transform(blocks), K, atol=1e-6)


def test_ridge_on_complete_blocks_equals_scikit_learn(cohort):
    blocks, y, _ = cohort
    two = {"mr": blocks["mr"], "case": blocks["case"]}
    model = MultimodalClassifier(
        {n: MODALITIES[n] for n in two}, alphas=[0.3], weights="equal", class_weight=None
    )
    model.fit(two, y)
    case = model.fusion_.table_["case"].transform(blocks["case"].values)
    parts = [
        StandardScaler().fit_transform(v.astype(float)) / np.sqrt(v.shape[1] * 2)
        for v in (blocks["mr"].values, case)
    ]
    oracle = SklearnRidge(alpha=0.3).fit(np.hstack(parts), 2.0 * y - 1)
    np.testing.assert_allclose(
        model.decision_function(two), oracle.predict(np.hstack(parts)), atol=1e-5
    )


@pytest.mark.parametrize(("kind", "fusion"), CONFIGURATIONS)
def test_learns_and_scores_agree_with_probabilities(cohort, kind, fusion):
    blocks, y, groups = cohort
    labels = np.where(y == 1, "sick", "healthy")
    model = MultimodalClassifier(MODALITIES, solver=kind, fusion=fusion)
    model.fit(blocks, labels, groups=groups)
    decision, probability = model.decision_function(blocks), model.predict_proba(blocks)
    assert roc_auc_score(y, model.cv_decision_) > 0.75
    assert model.classes_.tolist() == ["healthy", "sick"]
    np.testing.assert_array_equal(model.predict(blocks), np.where(decision > 0, "sick", "healthy"))
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert (np.argsort(probability[:, 1]) == np.argsort(decision)).all()


@pytest.mark.parametrize(("kind", "fusion"), CONFIGURATIONS)
def test_out_of_fold_equals_fits_by_hand_and_changes_nothing_it_was_given(cohort, kind, fusion):
    blocks, y, groups = cohort
    model = MultimodalClassifier(MODALITIES, solver=kind, fusion=fusion)
    found = out_of_fold(model, blocks, y, groups)
    assert found.folds == 20
    for group in (0, 7):
        test = groups == group
        fitted = clone(model).fit(
            {n: b.take(~test) for n, b in blocks.items()}, y[~test], groups=groups[~test]
        )
        held_out = {n: b.take(test) for n, b in blocks.items()}
        np.testing.assert_allclose(
            found.decision[test], fitted.decision_function(held_out), atol=1e-9
        )
        spread = np.sqrt((fitted.cv_decision_**2).mean())
        np.testing.assert_allclose(found.score[test], found.decision[test] / spread, atol=1e-9)
        np.testing.assert_allclose(
            found.probability[test], fitted.predict_proba(held_out), atol=1e-9
        )
    assert not hasattr(model, "solver_")


def test_labels_of_left_out_patients_do_not_leak(cohort):
    """Flipping a patient's labels must not change that patient's own prediction."""
    blocks, y, groups = cohort
    model = MultimodalClassifier(MODALITIES)
    test = groups == groups[0]
    flipped = np.where(test, 1 - y, y)
    before, after = (out_of_fold(model, blocks, labels, groups) for labels in (y, flipped))
    np.testing.assert_array_equal(before.decision[test], after.decision[test])
    assert (before.decision[~test] != after.decision[~test]).any()


def test_many_groups_are_dealt_into_ten_folds(cohort):
    blocks, y, groups = cohort
    assert (
        out_of_fold(MultimodalClassifier(MODALITIES), blocks, y, groups, max_folds=19).folds == 10
    )


def test_balanced_classes_equal_scikit_learn_and_take_the_bias_from_left_out_scores():
    rng = np.random.default_rng(3)
    y = (np.arange(60) < 15).astype(int)
    blocks = {"mr": Block(rng.normal(size=(60, 400)).astype("float32"), np.ones(60, bool))}
    model = MultimodalClassifier({"mr": ImageModality()}, alphas=[3.0]).fit(blocks, y)
    X = StandardScaler().fit_transform(blocks["mr"].values.astype(float)) / np.sqrt(400)
    weights = compute_sample_weight("balanced", y)
    oracle = SklearnRidge(alpha=3.0).fit(X, 2.0 * y - 1, sample_weight=weights)
    np.testing.assert_allclose(model.decision_function(blocks), oracle.predict(X), atol=1e-5)
    # Noise has an AUC of one half. Unweighted, the mean of the other labels is all that a
    # strongly shrunk model says, and it is lowest where the left-out label is positive.
    auc: dict = {"balanced": [], None: []}
    for weight, found in auc.items():
        model = MultimodalClassifier({"mr": ImageModality()}, alphas=[1e3], class_weight=weight)
        for seed in range(4):
            noise = np.random.default_rng(seed).normal(size=(60, 400)).astype("float32")
            held_out = out_of_fold(model, {"mr": Block(noise, np.ones(60, bool))}, y, np.arange(60))
            found.append(roc_auc_score(y, held_out.decision))
    assert np.mean(auc["balanced"]) > 0.3
    assert np.mean(auc[None]) < 0.05


def test_probability_never_contradicts_the_score_however_weak_the_signal():
    y = np.arange(24) % 3 == 0
    for seed in range(6):
        x = np.random.default_rng(100 + seed).normal(size=24)
        data = {"t": {"x": x}}
        model = MultimodalClassifier({"t": TableModality()}).fit(data, y.astype(int))
        order = np.argsort(model.decision_function(data))
        assert (np.diff(model.predict_proba(data)[order, 1]) >= 0).all()
        # Without signal the mean probability is the frequency of the class.
        assert 0.2 < model.predict_proba(data)[:, 1].mean() < 0.5


def test_a_feature_without_information_scores_one_half():
    y = np.arange(16) % 2
    blocks = {"t": TableModality().extract({"a": [1.0] * 16})}
    held_out = out_of_fold(MultimodalClassifier({"t": TableModality()}), blocks, y, np.arange(16))
    assert roc_auc_score(y, held_out.decision) == 0.5


def test_a_single_new_patient_may_lack_a_modality(cohort):
    blocks, y, groups = cohort
    model = MultimodalClassifier(MODALITIES).fit(blocks, y, groups=groups)
    new = {
        "ct": [None],
        "mr": blocks["mr"].take([3]),
        "case": {"age": [""], "sex": ["f"]},
    }
    assert model.decision_function(new).shape == (1,)
    two = {n: b.take([3, 3]) for n, b in blocks.items()}
    two["ct"] = Block(two["ct"].values, np.array([False, False]))
    np.testing.assert_allclose(
        model.decision_function({**two, "case": {"age": ["", "70"], "sex": ["f", "m"]}})[0],
        model.decision_function(new)[0],
        atol=1e-6,
    )
