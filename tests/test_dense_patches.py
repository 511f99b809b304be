"""DensePatchRidge against scikit-learn's Ridge on explicit patches."""

from __future__ import annotations

import multiprocessing
import os
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from scipy.linalg import LinAlgWarning
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.utils import estimator_checks

from fastmm import DensePatchRidge, load_model, save_model
from fastmm.solve.patches import left_out
from fastmm.solve.patches.left_out import FoldSystems

ALPHA = 2.0


def explicit(images, size, step):
    """Return the patches (n, *grid, m prod(size)) of images or of a dict of them."""
    blocks = images.values() if isinstance(images, dict) else [images]
    rank, views = len(size), []
    for block in blocks:
        view = sliding_window_view(block, size, axis=tuple(range(1, 1 + rank)))
        view = view[(slice(None), *(slice(None, None, s) for s in step))]
        views.append(view.reshape(*view.shape[: 1 + rank], -1))
    return np.concatenate(views, axis=-1).astype(np.float64)


class Oracle:
    """Ridge on explicit patches, centred first, since scikit-learn's loses digits otherwise."""

    def __init__(self, images, y, size, step, weight=None, intercept=True, alpha=ALPHA):
        self.patches = explicit(images, size, step)
        self.grid, self.d = self.patches.shape[1:-1], self.patches.shape[-1]
        n, self.positions = len(y), int(np.prod(self.grid))
        self.by_position = y.shape[1 : 1 + len(self.grid)] == self.grid
        flat = y.reshape(n, -1)
        self.rows = self.patches.reshape(-1, self.d)
        if self.by_position:
            self.targets = y.reshape(n * self.positions, -1)
        else:
            self.targets = np.repeat(flat, self.positions, axis=0)
        weight = np.ones(n) if weight is None else weight
        self.weight, self.intercept = np.repeat(weight, self.positions), intercept
        self.alpha = alpha

    def fit(self, rows=slice(None)):
        """Return coefficients, and predictions (n, *grid, targets) of all patches."""
        centre = self.rows[rows].mean(axis=0) if self.intercept else 0
        model = Ridge(self.alpha, fit_intercept=self.intercept, solver="cholesky")
        model.fit(self.rows[rows] - centre, self.targets[rows], self.weight[rows])
        predicted = model.predict(self.rows - centre)
        return np.atleast_2d(model.coef_), predicted.reshape(-1, *self.grid, self.targets.shape[1])

    def without(self, groups):
        """Return predictions by models that have not seen the image's group."""
        out = np.empty((len(groups), *self.grid, self.targets.shape[1]))
        for group in np.unique(groups):
            rows = np.repeat(groups == group, self.positions)
            out[groups == group] = self.fit(~rows)[1][groups == group]
        return self.seen(out)

    def seen(self, maps):
        """Return maps, or their means where targets belong to images."""
        axes = tuple(range(1, 1 + len(self.grid)))
        return maps if self.by_position else maps.mean(axis=axes)


def draw(shape, kind, size, step, modalities=1, mean=0.0, seed=0):
    rng = np.random.default_rng(seed)
    blocks = {name: mean + rng.standard_normal(shape) for name in "abc"[:modalities]}
    images = blocks if modalities > 1 else blocks["a"]
    counts = [(m - p) // s + 1 for m, p, s in zip(shape[1:], size, step, strict=True)]
    n = shape[0]
    y = rng.standard_normal(
        {"image": (n,), "images": (n, 2), "map": (n, *counts), "maps": (n, *counts, 3)}[kind]
    )
    return images, y


def filters_of(model):
    """Return the filters (targets, features)."""
    blocks = model.coef_.values() if isinstance(model.coef_, dict) else [model.coef_]
    rank = len(model.patch_size)
    return np.concatenate(
        [b.reshape(*b.shape[: b.ndim - rank] or (1,), -1) for b in blocks], axis=1
    )


def some(images, rows):
    if isinstance(images, dict):
        return {name: block[rows] for name, block in images.items()}
    return images[rows]


def assert_close(got, expected, tolerance=1e-9):
    assert np.shape(got) == np.shape(expected)
    assert np.abs(got - expected).max() <= tolerance * np.abs(expected).max()


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


def test_any_array_library(xp_any):
    images, y = draw((9, 10, 9), "map", (4, 3), (1, 2), 2, mean=100.0)
    host = DensePatchRidge((4, 3), (1, 2)).fit(images, y, groups=np.arange(9) // 2)
    device = {name: xp_any.asarray(block) for name, block in images.items()}
    model = DensePatchRidge((4, 3), (1, 2))
    model.fit(device, xp_any.asarray(y), groups=np.arange(9) // 2)
    for name in "ab":
        assert_close(xp_any.asnumpy(model.coef_[name]), host.coef_[name], 1e-10)
    assert_close(xp_any.asnumpy(model.cv_predictions_), host.cv_predictions_, 1e-10)
    assert_close(xp_any.asnumpy(model.predict(device)), host.predict(images), 1e-10)
    labels = xp_any.asarray(y.mean(axis=(1, 2)))
    model = DensePatchRidge((4, 3), (1, 2), alphas=(1.0, 10.0)).fit(device, labels)
    assert model.cv_predictions_.shape == (9,)
    xp_any.asnumpy(model.predict(device))
    pieces = DensePatchRidge((4, 3), (1, 2)).partial_fit(device, labels)
    other = DensePatchRidge((4, 3), (1, 2)).partial_fit(device, labels)
    assert np.isfinite(pieces.merge(other).score(device, labels))


def test_arrays_of_other_libraries():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    images, y = draw((6, 8, 8), "image", (3, 3), (1, 1))
    model = DensePatchRidge((3, 3)).fit(torch.from_numpy(images), torch.from_numpy(y))
    assert_close(model.coef_, DensePatchRidge((3, 3)).fit(images, y).coef_, 1e-12)
    assert isinstance(model.predict_map(torch.from_numpy(images)), torch.Tensor)


@pytest.mark.parametrize("dtype", ["f2", "f4", "i2", "u1", "i4", "bool"])
def test_any_dtype(dtype):
    images, y = draw((8, 9, 9), "image", (3, 3), (1, 1))
    images = (10 * images).astype(dtype)
    model = DensePatchRidge((3, 3)).fit(images, y)
    wide = DensePatchRidge((3, 3)).fit(images.astype("f8"), y)
    assert_close(model.coef_, wide.coef_, 1e-10)
    assert model.predict(images).dtype == ("f8" if dtype == "i4" else "f4")


def test_any_layout_and_the_input_stays():
    images, y = draw((8, 9, 9), "map", (3, 3), (1, 1))
    expected = DensePatchRidge((3, 3)).fit(images, y, groups=np.arange(8)).coef_
    turned = np.asfortranarray(images)
    turned.flags.writeable = False
    y.flags.writeable = False
    np.testing.assert_array_equal(DensePatchRidge((3, 3)).fit(turned, y).coef_, expected)
    backwards = np.ascontiguousarray(images[:, ::-1])[:, ::-1]
    np.testing.assert_array_equal(DensePatchRidge((3, 3)).fit(backwards, y).coef_, expected)
    np.testing.assert_array_equal(
        DensePatchRidge([3, 3], [1, 1]).fit(images.tolist(), y).coef_, expected
    )


def test_images_of_other_sizes():
    images, y = draw((8, 9, 9), "image", (3, 4), (1, 1))
    large, more = draw((5, 14, 11), "image", (3, 4), (1, 1), seed=1)
    model = DensePatchRidge((3, 4)).partial_fit(images, y).partial_fit(large, more)
    parts = [Oracle(*data, (3, 4), (1, 1), alpha=1.0) for data in ((images, y), (large, more))]
    rows = np.concatenate([p.rows for p in parts])
    targets = np.concatenate([p.targets for p in parts])
    expected = Ridge(1.0, solver="cholesky").fit(rows, targets)
    assert_close(filters_of(model), np.atleast_2d(expected.coef_))
    maps = expected.predict(parts[1].rows).reshape(parts[1].patches.shape[:-1])
    assert_close(model.predict_map(large), maps)
    assert_close(model.predict(large), maps.mean(axis=(1, 2)))


def test_score_is_that_of_all_positions():
    for kind in ("image", "map", "maps"):
        images, y = draw((8, 9, 9), kind, (3, 3), (1, 1))
        weight = np.linspace(1, 2, 8)
        model = DensePatchRidge((3, 3)).fit(images, y)
        got = model.score(images, y, weight)
        predicted = model.predict(images)
        copies = predicted[..., 0].size // 8 if kind == "maps" else predicted.size // 8
        columns = [v.reshape(8 * copies, -1) for v in (y, predicted)]
        assert got == pytest.approx(r2_score(*columns, sample_weight=np.repeat(weight, copies)))
    with pytest.raises(ValueError, match="shape of the predictions"):
        model.score(images, y[..., 0])


def test_many_threads_at_once():
    images, y = draw((20, 16, 16), "image", (6, 6), (1, 1))
    expected = DensePatchRidge((6, 6)).fit(images, y, groups=np.arange(20)).cv_predictions_
    with ThreadPoolExecutor(8) as pool:
        fits = [
            pool.submit(DensePatchRidge((6, 6)).fit, images, y, groups=np.arange(20))
            for _ in range(8)
        ]
    for fit in fits:
        assert_close(fit.result().cv_predictions_, expected, 1e-10)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_after_fork():
    images, y = draw((20, 16, 16), "image", (6, 6), (1, 1))
    expected = DensePatchRidge((6, 6)).fit(images, y, groups=np.arange(20)).cv_predictions_
    with multiprocessing.get_context("fork").Pool(1) as pool:
        got = pool.apply_async(forked, (images, y)).get(60)
    assert_close(got, expected, 1e-10)


def forked(images, y):
    return DensePatchRidge((6, 6)).fit(images, y, groups=np.arange(20)).cv_predictions_


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
