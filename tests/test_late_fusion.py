"""Late fusion, against its steps done by hand."""

import numpy as np
import pytest
from scipy.optimize import nnls
from sklearn.metrics import roc_auc_score

from fastmm import ImageModality, MultimodalClassifier, MultimodalRegressor, load_model, save_model
from fastmm.blocks import Block
from fastmm.validate.out_of_fold import out_of_fold

MODALITIES = {name: ImageModality() for name in ("ct", "mr", "noise")}


@pytest.fixture
def cohort():
    rng = np.random.default_rng(5)
    n = 60
    y, groups = np.arange(n) % 2, np.repeat(np.arange(n // 2), 2)[rng.permutation(n)]
    blocks = {}
    for name, shift in {"ct": 0.5, "mr": 0.6, "noise": 0.0}.items():
        values = rng.normal(size=(n, 10)) + shift * (y[:, None] - 0.5)
        blocks[name] = Block(values.astype("float32"), np.ones(n, bool))
    blocks["mr"] = Block(blocks["mr"].values, rng.random(n) > 0.2)
    return blocks, y, groups


def test_weights_are_least_squares_of_scores_out_of_fold(cohort):
    blocks, y, groups = cohort
    model = MultimodalClassifier(MODALITIES, fusion="late").fit(blocks, y, groups=groups)
    signs, columns = 2.0 * y - 1, []
    root = np.sqrt(np.mean([b.present for b in blocks.values()], axis=0))
    for name, block in blocks.items():
        alone = MultimodalClassifier({name: MODALITIES[name]}, class_weight=None)
        here = block.present
        alone.fit({name: block.take(here)}, y[here], groups=groups[here])
        score = np.zeros(60)
        score[here] = alone.cv_decision_
        columns.append(score / np.sqrt((score[here] ** 2).mean()) / root)
    # The classes are of one size, and weights positive: least squares with a bound.
    A = np.stack([*columns, np.ones(60), -np.ones(60)], axis=1)
    expected = nnls(A, signs)[0]
    found = model.fusion_.combinations_[0]
    np.testing.assert_allclose(found.coef_, expected[:3], atol=0.02)
    assert (found.coef_ >= 0).all()
    assert found.coef_[2] < 0.3 * found.coef_[:2].min()


def test_contributions_and_features_sum_to_the_score(cohort):
    from fastmm.explanation import feature_contributions

    blocks, y, groups = cohort
    for solver in ("ridge", "linear", "svm"):
        model = MultimodalClassifier(MODALITIES, fusion="late", solver=solver)
        model.fit(blocks, y, groups=groups)
        parts, score = model.contributions(blocks), model.decision_function(blocks)
        np.testing.assert_allclose(sum(parts.values()), score, atol=1e-6)
        np.testing.assert_array_equal(parts["mr"][~blocks["mr"].present], 0)
        if solver == "svm":
            continue
        features = feature_contributions(model, blocks)
        intercept = features.pop("intercept")
        total = sum(own.sum(axis=1) for own in features.values()) + intercept
        np.testing.assert_allclose(total, score, atol=1e-6)
        for name, own in features.items():
            # The members' intercepts belong to their modality, too.
            rest = parts[name] - own.sum(axis=1)
            assert np.ptp(rest[blocks["mr"].present]) < 1e-5


def test_nothing_of_a_patient_leaks_into_its_own_score(cohort):
    blocks, y, groups = cohort
    model = MultimodalClassifier(MODALITIES, fusion="late")
    test = groups == groups[0]  # one patient of three in its fold
    flipped = np.where(test, 1 - y, y)
    before, after = (
        out_of_fold(model, blocks, labels, groups, max_folds=29) for labels in (y, flipped)
    )
    np.testing.assert_array_equal(before.decision[test], after.decision[test])
    assert roc_auc_score(y, before.decision) > 0.7


def test_noise_alone_scores_no_better_than_chance(cohort):
    _, y, _ = cohort
    areas, groups = [], np.arange(60) // 6
    for seed in range(6):
        rng = np.random.default_rng(seed)
        blocks = {
            name: Block(rng.normal(size=(60, 10)).astype("float32"), np.ones(60, bool))
            for name in ("ct", "mr")
        }
        model = MultimodalClassifier({n: MODALITIES[n] for n in blocks}, fusion="late")
        areas.append(roc_auc_score(y, out_of_fold(model, blocks, y, groups).decision))
    assert np.mean(areas) < 0.6


def test_a_modality_that_lacks_a_class_is_refused(cohort):
    blocks, y, groups = cohort
    blocks["mr"] = Block(blocks["mr"].values, y == 1)
    with pytest.raises(ValueError, match="Modality 'mr' must be there in rows of each class"):
        MultimodalClassifier(MODALITIES, fusion="late").fit(blocks, y, groups=groups)


@pytest.mark.parametrize("fusion", ["stack", "kernel", "late"])
@pytest.mark.parametrize("solver", ["ridge", "linear", "lssvm"])
def test_regressor_finds_numbers_and_comes_back_from_a_file(cohort, fusion, solver, tmp_path):
    if fusion == "kernel" and solver != "lssvm":
        pytest.skip("a kernel needs a solver that takes one; its error is tested elsewhere")
    blocks, _, groups = cohort
    y = 40 + 7 * (blocks["ct"].values[:, 0] + blocks["noise"].values[:, 1]).astype(float)
    model = MultimodalRegressor(MODALITIES, fusion=fusion, solver=solver)
    model.fit(blocks, y, groups=groups)
    assert np.corrcoef(y, model.cv_predictions_)[0, 1] > 0.5
    assert model.score(blocks, y) > 0.5
    low, high = model.intervals(model.predict(blocks), 0.8)
    assert ((low < y) & (y < high)).mean() > 0.8
    held_out = abs(y - model.cv_predictions_) <= model.conformity_.width(0.8)
    assert 0.75 < held_out.mean() < 0.9
    loaded = load_model(save_model(model, tmp_path / "m.fastmm"))
    np.testing.assert_array_equal(loaded.predict(blocks), model.predict(blocks))
    if not (fusion == "stack" and solver == "lssvm"):
        parts = model.contributions(blocks)
        np.testing.assert_allclose(sum(parts.values()), model.predict(blocks), rtol=1e-5)


def test_regressor_says_what_it_cannot(cohort):
    blocks, y, _ = cohort
    with pytest.raises(ValueError, match='`solver` must be one of "ridge", "linear", "lssvm"'):
        MultimodalRegressor(MODALITIES, solver="svm").fit(blocks, y)
    with pytest.raises(ValueError, match="one number for each row"):
        MultimodalRegressor(MODALITIES).fit(blocks, y[:5])
