"""DensePatchRidge against scikit-learn's Ridge on explicit patches."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from dense_patches_by_definition import ALPHA, Oracle, assert_close, draw, filters_of
from scipy.linalg import LinAlgWarning
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from fastmm import DensePatchRidge
from fastmm.solve.patches import left_out
from fastmm.solve.patches.left_out import FoldSystems


def some(images, rows):
    if isinstance(images, dict):
        return {name: block[rows] for name, block in images.items()}
    return images[rows]


SHAPES = [
    ((9, 10, 9), (4, 3), (1, 1), 2),
    ((9, 11, 12), (3, 4), (2, 1), 1),
    ((12, 15), (5,), (2,), 2),
    ((7, 6, 7, 5), (2, 3, 2), (1, 2, 1), 1),
    ((8, 5, 6), (5, 6), (1, 1), 1),
]


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("shape", "size", "step", "modalities", "kind"),
    [
        (*case, kind)
        for case in SHAPES
        for kind in ("image", "images", "map", "maps")
        if kind != "images" or len(case[1]) > 1  # of signals, these could be maps
    ],
)
def test_equals_sklearn_on_explicit_patches(
    shape, size, step, modalities, kind, weighted, intercept
):
    images, y = draw(shape, kind, size, step, modalities, 10.0 * intercept)
    n = shape[0]
    weight = np.random.default_rng(1).uniform(0, 2, n) if weighted else None
    if weighted:
        weight[2] = 0
    oracle = Oracle(images, y, size, step, weight, intercept)
    coef, maps = oracle.fit()
    groups = np.arange(n) // 2
    model = DensePatchRidge(size, step, ALPHA, fit_intercept=intercept)
    assert model.fit(images, y, weight, groups) is model
    assert_close(filters_of(model), coef)
    several = kind in ("images", "maps")
    shaped = maps if several else maps[..., 0]
    assert_close(model.predict_map(images), shaped)
    seen = oracle.seen(maps)
    assert_close(model.predict(images), seen if several else seen[..., 0])
    held_out = oracle.without(groups)
    assert_close(model.cv_predictions_, held_out if several else held_out[..., 0])
    assert model.residual_ < 1e-14
    # Pieces, and machines that saw other images, give the same.
    pieces = DensePatchRidge(size, step, ALPHA, fit_intercept=intercept)
    other = clone(pieces)
    for rows in (slice(0, 3), slice(3, 4)):
        pieces.partial_fit(some(images, rows), y[rows], None if weight is None else weight[rows])
    rows = slice(4, n)
    other.partial_fit(some(images, rows), y[rows], None if weight is None else weight[rows])
    pieces.merge(other)
    assert_close(filters_of(pieces), filters_of(model))
    assert_close(pieces.intercept_, model.intercept_, 1e-8)


@pytest.mark.parametrize("kind", ["image", "map"])
def test_float32_at_a_large_mean(kind):
    images, y = draw((30, 20, 20), kind, (6, 6), (1, 1), 2, mean=1e4)
    images = {name: block.astype("f4") for name, block in images.items()}
    oracle = Oracle(images, y, (6, 6), (1, 1))
    coef, maps = oracle.fit()
    model = DensePatchRidge((6, 6), alpha=ALPHA).fit(images, y)
    assert_close(filters_of(model), coef, 1e-8)
    got = model.predict_map(images)
    assert got.dtype == np.float32
    assert model.predict(images).dtype == np.float32
    assert_close(got, maps[..., 0], 1e-6)
    plain = Ridge(ALPHA).fit(oracle.rows, oracle.targets[:, 0])  # not centred before
    assert_close(filters_of(model), np.atleast_2d(plain.coef_), 1e-5)


def test_smooth_images_whose_pixels_repeat_each_other():
    from scipy.ndimage import gaussian_filter

    images, y = draw((20, 24, 24), "image", (6, 6), (1, 1))
    images = (100 * gaussian_filter(images, (0, 2, 2)) + 1000).astype("f4")
    oracle = Oracle(images, y, (6, 6), (1, 1), alpha=1.0)
    model = DensePatchRidge((6, 6)).fit(images, y, groups=np.arange(20))
    coef, maps = oracle.fit()
    assert_close(filters_of(model), coef, 1e-7)
    assert_close(model.predict_map(images), maps[..., 0], 1e-6)
    assert_close(model.cv_predictions_, oracle.without(np.arange(20))[:, 0], 1e-7)


@pytest.mark.parametrize("alpha", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("n", [2, 3, 5])
def test_few_images_of_which_one_is_most(n, alpha):
    images, y = draw((n, 9, 9), "image", (8, 8), (1, 1))
    images[0] *= 30
    oracle = Oracle(images, y, (8, 8), (1, 1), alpha=alpha)
    model = DensePatchRidge((8, 8), alpha=alpha).fit(images, y, groups=np.arange(n))
    assert_close(model.cv_predictions_, oracle.without(np.arange(n))[:, 0], 1e-6)


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("intercept", [True, False])
def test_a_fold_that_does_not_converge_is_solved_on_its_own(intercept, blocks, monkeypatch):
    alone = []
    original = FoldSystems._gram_without
    monkeypatch.setattr(left_out, "_MOST", 1)
    monkeypatch.setattr(left_out, "_WORK", 2 * 8 * 32 if blocks else 1 << 27)
    monkeypatch.setattr(
        FoldSystems,
        "_gram_without",
        lambda self, fold: alone.append(int(self.which[fold])) or original(self, fold),
    )
    images, y = draw((9, 9, 9), "map", (4, 4), (1, 1), 2, 10.0 * intercept)
    weight, groups = np.linspace(0.5, 2, 9), np.arange(9) // 2
    model = DensePatchRidge((4, 4), fit_intercept=intercept).fit(images, y, weight, groups)
    oracle = Oracle(images, y, (4, 4), (1, 1), weight, intercept, alpha=1.0)
    assert_close(model.cv_predictions_, oracle.without(groups)[..., 0])
    assert sorted(alone) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", ["image", "map"])
def test_folds_in_blocks_for_lack_of_memory(kind, monkeypatch):
    images, y = draw((9, 9, 9), kind, (4, 4), (1, 1))
    groups = np.array([0, 1, 1, 2, 0, 3, 3, 3, 4])
    monkeypatch.setattr(left_out, "_WORK", 2 * 8 * 16)
    model = DensePatchRidge((4, 4), alphas=(1.0, 1e9)).fit(images, y, groups=groups)
    oracle = Oracle(images, y, (4, 4), (1, 1), alpha=model.alpha_)
    assert_close(model.cv_predictions_, oracle.without(groups)[..., 0])


def test_no_penalty_gives_the_least_norm_and_a_warning():
    images, y = draw((4, 7, 7), "image", (4, 4), (3, 3))
    images[:, ::2] = images[:, 1:2]
    oracle = Oracle(images, y, (4, 4), (3, 3))
    with pytest.warns(LinAlgWarning, match="rank"):
        model = DensePatchRidge((4, 4), 3, alpha=0).fit(images, y)
    rows = oracle.rows - oracle.rows.mean(axis=0)
    targets = oracle.targets - oracle.targets.mean(axis=0)
    expected = np.linalg.lstsq(rows, targets, rcond=1e-10)[0]
    assert_close(filters_of(model), expected.T, 1e-8)
    images, y = draw((9, 7, 7), "image", (2, 2), (1, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = DensePatchRidge((2, 2), alpha=0).fit(images, y, groups=np.arange(9))
    oracle = Oracle(images, y, (2, 2), (1, 1), alpha=0)
    assert_close(model.cv_predictions_, oracle.without(np.arange(9))[:, 0])


def test_few_digits_are_told_of():
    images, y = draw((3, 9, 9), "image", (8, 8), (1, 1))
    with pytest.warns(LinAlgWarning, match="leaves about 5 digits"):
        DensePatchRidge((8, 8), alpha=1e-6).fit(30 * images, y)


@pytest.mark.parametrize("value", [0.0, -1024.0, 0.1])
def test_constant_images(value):
    y = np.arange(5.0)
    model = DensePatchRidge((3, 2)).fit(np.full((5, 6, 7), value, "f4"), y)
    np.testing.assert_array_equal(model.coef_, 0)
    assert model.intercept_ == 2
    model = DensePatchRidge((3, 2)).fit(np.full((5, 6, 7), value, "f4"), y, groups=np.arange(5))
    np.testing.assert_allclose(model.cv_predictions_, (10 - y) / 4, rtol=1e-14)


@pytest.mark.parametrize("kind", ["image", "map"])
def test_a_search_scores_what_was_left_out(kind):
    images, y = draw((14, 8, 8), kind, (4, 4), (1, 1))
    weight, groups = np.linspace(0.5, 2, 14), np.arange(14) // 3
    alphas = (1e-1, 30.0, 1e3)
    model = DensePatchRidge((4, 4), alphas=alphas).fit(images, y, weight, groups)
    fits = [Oracle(images, y, (4, 4), (1, 1), weight, alpha=a).without(groups) for a in alphas]
    errors = [((f[..., 0] - y) ** 2).reshape(14, -1).mean(axis=1) for f in fits]
    folds = [groups == g for g in np.unique(groups)]
    scores = [-np.mean([np.average(e[f], weights=weight[f]) for f in folds]) for e in errors]
    np.testing.assert_allclose(model.cv_scores_, scores, rtol=1e-9)
    best = int(np.argmax(scores))
    assert model.alpha_ == alphas[best]
    assert model.best_score_ == pytest.approx(scores[best])
    assert_close(model.cv_predictions_, fits[best][..., 0])
    alone = DensePatchRidge((4, 4), alpha=alphas[best]).fit(images, y, weight)
    assert_close(model.coef_, alone.coef_, 1e-12)
    again = model.set_params(alphas=None, alpha=3.0).fit(images, y)
    assert not hasattr(again, "alpha_")
    assert not hasattr(again, "cv_predictions_")


def test_a_search_by_area_and_in_folds():
    images, y = draw((16, 8, 8), "image", (3, 3), (1, 1))
    labels = (y > 0).astype(int)
    images += 0.5 * labels[:, None, None]
    model = DensePatchRidge((3, 3), alphas=(1.0, 1e4), scoring="roc_auc", cv=4)
    model.fit(images, labels, groups=np.arange(16) // 2)
    assert 0.8 < model.best_score_ <= 1
    assert roc_auc_score(labels, model.cv_predictions_) > 0.8
