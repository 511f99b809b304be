"""The multimodal classifier as an estimator: classes, files, raw data, refusals."""

import numpy as np
import pytest
from multimodal_cohorts import CONFIGURATIONS, MODALITIES, draw_cohort
from sklearn.exceptions import NotFittedError

from fastmm import ImageModality, MultimodalClassifier, TableModality, load_model, save_model
from fastmm.blocks import Block
from fastmm.validate.out_of_fold import out_of_fold


@pytest.fixture
def cohort():
    return draw_cohort()


def test_contributions_sum_to_the_score(cohort):
    blocks, y, groups = cohort
    model = MultimodalClassifier(MODALITIES).fit(blocks, y, groups=groups)
    parts = model.contributions(blocks)
    assert set(parts) == {*MODALITIES, "intercept"}
    np.testing.assert_allclose(sum(parts.values()), model.decision_function(blocks), atol=1e-5)
    np.testing.assert_array_equal(parts["ct"][~blocks["ct"].present], 0)


@pytest.mark.parametrize(("kind", "fusion"), CONFIGURATIONS)
def test_three_classes(cohort, kind, fusion):
    blocks, _, groups = cohort
    y = groups % 3
    blocks = {**blocks, "mr": Block(blocks["mr"].values + 2 * y[:, None], blocks["mr"].present)}
    model = MultimodalClassifier(MODALITIES, solver=kind, fusion=fusion)
    model.fit(blocks, y, groups=groups)
    assert model.decision_function(blocks).shape == (40, 3)
    np.testing.assert_allclose(model.predict_proba(blocks).sum(axis=1), 1)
    assert (model.predict(blocks) == y).mean() > 0.6
    assert out_of_fold(model, blocks, y, groups).decision.shape == (40, 3)


@pytest.mark.parametrize(("kind", "fusion"), CONFIGURATIONS)
def test_saved_model_predicts_the_same(cohort, kind, fusion, tmp_path):
    blocks, y, groups = cohort
    model = MultimodalClassifier(MODALITIES, solver=kind, fusion=fusion)
    model.fit(blocks, y, groups=groups)
    loaded = load_model(save_model(model, tmp_path / "m.fastmm"))
    np.testing.assert_array_equal(loaded.predict_proba(blocks), model.predict_proba(blocks))


def test_raw_images_and_tables_with_missing_ones():
    rng = np.random.default_rng(1)
    images = [rng.random((3, 16, 16), dtype="float32") + i % 2 for i in range(8)]
    images[3] = None
    ct = ImageModality(shape=(16, 16), patch_size=(8, 8), step=4, pool="max")
    model = MultimodalClassifier({"ct": ct, "case": TableModality()})
    data = {"ct": images, "case": {"age": list(range(50, 58))}}
    model.fit(data, np.arange(8) % 2)
    assert (model.predict(data) == np.arange(8) % 2).mean() >= 0.75
    patches = np.lib.stride_tricks.sliding_window_view(images[0], (8, 8), (1, 2))[:, ::4, ::4]
    expected = np.stack([patches.mean((-2, -1)), patches.std((-2, -1))], 1).reshape(3, -1).max(0)
    np.testing.assert_allclose(ct.extract(images).values[0], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"fusion": "early"}, '`fusion` must be one of "stack", "kernel"'),
        ({"solver": "forest"}, '`solver` must be one of "ridge", "linear", "lssvm", "svm", "deep"'),
        ({"fusion": "kernel"}, 'needs `solver` "lssvm" or "svm"'),
    ],
)
def test_wrong_parameters(cohort, change, match):
    blocks, y, _ = cohort
    with pytest.raises(ValueError, match=match):
        MultimodalClassifier(MODALITIES, **change).fit(blocks, y)


def test_wrong_data(cohort):
    blocks, y, groups = cohort
    model = MultimodalClassifier(MODALITIES)
    with pytest.raises(NotFittedError):
        model.predict(blocks)
    with pytest.raises(ValueError, match="must have the modalities case"):
        model.fit({n: b for n, b in blocks.items() if n != "case"}, y)
    with pytest.raises(ValueError, match="got only"):
        model.fit(blocks, np.ones(40))
    with pytest.raises(ValueError, match="one number of rows"):
        model.fit({**blocks, "mr": blocks["mr"].take(slice(3))}, y)
    nothing = Block(blocks["ct"].values, np.zeros(40, bool))
    with pytest.raises(ValueError, match="`y` contains NaN"):
        model.fit(blocks, np.where(y == 1, np.nan, 0.0))
    with pytest.raises(ValueError, match="at least one modality, got none"):
        MultimodalClassifier({}).fit({}, y)
    with pytest.raises(ValueError, match="Modality 'ct' must be there in at least one row"):
        model.fit({**blocks, "ct": nothing}, y)
    alone = MultimodalClassifier({"ct": ImageModality()}).fit({"ct": blocks["mr"]}, y)
    with pytest.raises(ValueError, match="row 0 has none"):
        alone.predict({"ct": nothing})
    with pytest.raises(ValueError, match="a class has all its rows in one fold"):
        out_of_fold(model, blocks, (groups == 0).astype(int), groups)
