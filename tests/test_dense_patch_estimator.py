"""DensePatchRidge as an estimator: files, conventions and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from dense_patches_by_definition import draw
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import estimator_checks

from fastmm import DensePatchRidge, load_model, save_model


def test_a_model_in_a_file(tmp_path):
    images, y = draw((8, 9, 9), "maps", (3, 3), (1, 1), 2)
    for model in (
        DensePatchRidge((3, 3)).fit(images, y),
        DensePatchRidge((3, 3)).partial_fit(images, y),
    ):
        loaded = load_model(save_model(model, tmp_path / "model.fastmm"))
        np.testing.assert_array_equal(loaded.predict(images), model.predict(images))
    loaded.partial_fit(images, y)
    with pytest.raises(NotFittedError):
        loaded.merge(DensePatchRidge((3, 3)).fit(images, y))


def test_conventions_of_scikit_learn():
    name, model = "DensePatchRidge", DensePatchRidge((2, 2), 2, alphas=(1.0,), scoring="r2")
    assert clone(model).get_params() == model.get_params()
    for check in (
        "check_get_params_invariance",
        "check_set_params",
        "check_estimator_repr",
        "check_estimator_tags_renamed",
        "check_mixin_order",
        "check_no_attributes_set_in_init",
        "check_estimator_cloneable",
    ):
        getattr(estimator_checks, check)(name, clone(model))
    with pytest.raises(NotFittedError):
        model.predict(np.ones((2, 4, 4)))
    with pytest.raises(NotFittedError):
        model.predict_map(np.ones((2, 4, 4)))


IMAGES = np.random.default_rng(0).normal(size=(5, 6, 7))


@pytest.mark.parametrize(
    ("options", "images", "y", "error", "message"),
    [
        ({}, IMAGES[0], np.ones(6), ValueError, r"`images` must have 3 axes.*\(6, 7\)"),
        ({}, IMAGES[:0], np.ones(0), ValueError, r"0 sample\(s\)"),
        ({}, {}, np.ones(5), ValueError, "at least one modality"),
        ({}, {0: IMAGES}, np.ones(5), TypeError, "texts as names"),
        ({}, {"a": None}, np.ones(5), TypeError, r"`images\['a'\]` must be an array, got None"),
        ({}, {"a": IMAGES, "b": IMAGES[:, 1:]}, np.ones(5), ValueError, r"shape of the first"),
        ({}, IMAGES * 1j, np.ones(5), ValueError, "Complex data not supported"),
        ({}, np.where(IMAGES > 2, np.nan, IMAGES), np.ones(5), ValueError, "NaN or infinity: "),
        ({}, IMAGES, None, ValueError, "requires y to be passed"),
        ({}, IMAGES, np.ones(4), ValueError, r"inconsistent numbers of samples: \[5, 4\]"),
        ({}, IMAGES, np.ones((5, 4, 6)), ValueError, r"\(5, 5, 6\).*got \(5, 4, 6\)"),
        ({}, IMAGES, np.full(5, np.inf), ValueError, "`y` contains NaN or infinity"),
        ({}, IMAGES, np.array(list("abcde")), TypeError, "`y` must hold real numbers"),
        ({"patch_size": (7, 2)}, IMAGES, np.ones(5), ValueError, "`patch_size` must fit"),
        ({"patch_size": (0, 2)}, IMAGES, np.ones(5), ValueError, r"`patch_size\[0\]`"),
        ({"patch_size": 2}, IMAGES, np.ones(5), TypeError, "`patch_size` must be"),
        ({"step": 0}, IMAGES, np.ones(5), ValueError, "`step` must be a positive integer"),
        ({"alpha": -1}, IMAGES, np.ones(5), ValueError, "`alpha` must be a finite number"),
        ({"alpha": np.nan}, IMAGES, np.ones(5), ValueError, "`alpha` must be a finite number"),
        ({"alphas": ()}, IMAGES, np.ones(5), ValueError, "`alphas` must hold at least one"),
        ({"alphas": (1, -1)}, IMAGES, np.ones(5), ValueError, r"`alphas\[1\]`"),
        ({"scoring": "auc"}, IMAGES, np.ones(5), ValueError, "`scoring` must be one of"),
    ],
)
def test_wrong_arguments_are_named(options, images, y, error, message):
    with pytest.raises(error, match=message):
        DensePatchRidge(**{"patch_size": (2, 2), **options}).fit(images, y)


def test_wrong_weights_groups_and_sizes_are_named():
    model, y = DensePatchRidge((2, 2)), np.arange(5.0)
    with pytest.raises(ValueError, match="`sample_weight` must not be negative"):
        model.fit(IMAGES, y, -np.ones(5))
    with pytest.raises(ValueError, match="`sample_weight` must be 1D"):
        model.fit(IMAGES, y, np.ones(4))
    with pytest.raises(ValueError, match="at least 2 groups"):
        model.fit(IMAGES, y, groups=np.zeros(5))
    with pytest.raises(ValueError, match="half of the memory"):
        DensePatchRidge((300, 300)).fit(np.zeros((1, 300, 300)), np.ones(1))
    with pytest.raises(ValueError, match=r"\(5, 5\) or \(5, 5, targets\)"):
        DensePatchRidge((2,)).fit(IMAGES[:, 0, :6], np.ones((5, 2)))
    with pytest.raises(ValueError, match="overflow float64"), np.errstate(all="ignore"):
        model.fit(1e200 * IMAGES, y)


def test_what_does_not_fit_the_model_is_named():
    y = np.arange(5.0)
    model = DensePatchRidge((2, 2)).fit({"a": IMAGES, "b": IMAGES}, y)
    for wrong in (IMAGES, {"a": IMAGES}, {"a": IMAGES, "c": IMAGES}):
        with pytest.raises(ValueError, match="must be a dict of 'a', 'b', as in the fit"):
            model.predict(wrong)
    np.testing.assert_array_equal(
        model.predict({"b": IMAGES, "a": 2 * IMAGES}), model.predict({"a": 2 * IMAGES, "b": IMAGES})
    )
    with pytest.raises(ValueError, match="`patch_size` must be that of the fit"):
        model.set_params(patch_size=(3, 2)).predict({"a": IMAGES, "b": IMAGES})
    with pytest.raises(ValueError, match="cannot go on after `fit`"):
        model.partial_fit(IMAGES, y)
    with pytest.raises(ValueError, match="`alphas` need all images"):
        DensePatchRidge((2, 2), alphas=(1.0,)).partial_fit(IMAGES, y)
    pieces = DensePatchRidge((2, 2)).partial_fit(IMAGES, y)
    before = pieces.coef_.copy()
    for wrong in (IMAGES[:, :5, :6], np.stack([y, y], axis=1)):
        with pytest.raises(ValueError, match="as many targets"):
            pieces.partial_fit(IMAGES, wrong)
    np.testing.assert_array_equal(pieces.coef_, before)
    with pytest.raises(TypeError, match="must be a DensePatchRidge, got int"):
        pieces.merge(3)
    for other in (DensePatchRidge((2, 2), 2), DensePatchRidge((2, 1))):
        with pytest.raises(ValueError, match="other patches"):
            pieces.merge(other.partial_fit(IMAGES, y))
