"""PatchDictionary against explicit patches in float64, and by what defines each part."""

from __future__ import annotations

import numpy as np
import pytest
from dictionary_by_definition import HOST, draw, explicit, fitted, naive
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.base import clone

from fastmm import PatchDictionary
from fastmm.features import encoding
from fastmm.features.atoms import cluster_atoms, draw_atoms, whitening_of
from fastmm.features.pooling import make_tiles

CASES = [
    ((4, 40, 41), (6, 6), (6, 6), 1),
    ((3, 30, 33), (5, 4), [(3, 3), (1, 1)], (2, 1)),
    ((2, 61, 64), (4, 4), [(2, 2), (3, 3)], 1),
    ((3, 2, 20, 22), (4, 4), (2, 3), 1),
    ((2, 3, 20, 22), (1, 1), 1, (3, 2)),
    ((2, 9, 10, 11), (9, 10, 11), 1, 1),
    ((3, 2, 9, 10, 11), (3, 3, 2), (2, 1, 3), 1),
    ((5, 50), (7,), 4, 3),
    ((5, 3, 50), (7,), 1, 1),
]


def settings(size, pool, step):
    pools = pool if isinstance(pool, list) else [pool]
    pools = [(p,) * len(size) if isinstance(p, int) else p for p in pools]
    return pools, (step,) * len(size) if isinstance(step, int) else step


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "u1", "f2", "i4"])
@pytest.mark.parametrize(("shape", "size", "pool", "step"), CASES)
def test_equals_explicit_patches_in_float64(shape, size, pool, step, dtype):
    images = draw(shape, dtype)
    model = PatchDictionary(size, 7, pool=pool, step=step, rounds=2, n_patches=300)
    if np.prod(size) == 1:
        model.set_params(per_channel=False)
    pools, steps = settings(size, pool, step)
    if (
        len(images)
        * np.prod(
            [
                len(range(0, m - p + 1, s))
                for m, p, s in zip(shape[-len(size) :], size, steps, strict=True)
            ]
        )
        < 7
    ):
        model.set_params(n_atoms=2)
    got = model.fit(images).transform(images)
    expected = naive(images, model, pools, steps)
    assert got.dtype == np.float32
    assert got.shape == (len(images), expected[0].size)
    np.testing.assert_allclose(got, expected.reshape(got.shape), rtol=0, atol=1e-5)
    assert expected.max() > 0.01
    assert len(model.get_feature_names_out()) == got.shape[1]


@pytest.mark.parametrize("n_atoms", [1, 63, 64, 65, 130])
def test_any_number_of_atoms(n_atoms):
    images = draw((3, 20, 21))
    model = PatchDictionary((5, 5), n_atoms, pool=2, atoms="random", n_patches=500).fit(images)
    expected = naive(images, model, [(2, 2)], (1, 1)).reshape(3, -1)
    np.testing.assert_allclose(model.transform(images), expected, rtol=0, atol=1e-5)


def test_signs_are_those_of_the_responses():
    images = draw((3, 20, 21))
    model = PatchDictionary((5, 5), 9, pool=(2, 1), atoms="random").fit(images)
    both = model.transform(images).reshape(3, 2, 2, 9)
    names = model.get_feature_names_out().reshape(2, 2, 9)
    assert names[1, 0, 8] == "2x1[1,0] atom 8 +"
    assert names[0, 1, 2] == "2x1[0,0] atom 2 -"
    positive = model.set_params(sign="positive").transform(images)
    np.testing.assert_array_equal(positive, both[:, :, 0].reshape(3, -1))
    assert len(model.get_feature_names_out()) == positive.shape[1]
    absolute = model.set_params(sign="absolute").transform(images)
    np.testing.assert_allclose(absolute, both.sum(2).reshape(3, -1), rtol=1e-6)
    assert len(model.get_feature_names_out()) == absolute.shape[1]


@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e12, 1e25])
@pytest.mark.parametrize("mean", [0.0, 1e4])
def test_neither_mean_nor_unit_of_the_images_matters(mean, scale):
    wide = draw((4, 24, 24), "f8", mean, 1)
    expected = naive(wide, model := fitted(wide), [(2, 2)], (1, 1)).reshape(4, -1)
    images = (wide * scale).astype("f4")
    got = fitted(images).transform(images)
    # float32 itself rounds images of mean 1e4 and deviation 1 to 5e-4.
    tolerance = 1e-5 if mean == 0 else 2e-3
    assert np.abs(model.transform(wide) - expected).max() < 1e-5
    assert np.abs(got - expected).max() < tolerance


@pytest.mark.parametrize("peak", [1e22, 1e30, 3e38])
def test_patches_of_enormous_contrast_are_exact(peak):
    images = draw((2, 24, 24))
    model = fitted(images)
    images[1] *= np.float32(peak / np.abs(images[1]).max())
    expected = naive(images, model, [(2, 2)], (1, 1)).reshape(2, -1)
    np.testing.assert_allclose(model.transform(images), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, -1024.0, 0.1, 1e30])
def test_constant_images_have_no_features(xp, value):
    model = fitted(draw((2, 12, 12) if xp.small else (4, 24, 24)))
    images = np.full((2, *model.image_shape_), value, "f4")
    assert not xp.asnumpy(model.transform(xp.asarray(images))).any()


def test_training_on_constant_images_gives_atoms_of_zeros():
    images = np.full((3, 12, 12), 7, "f4")
    model = PatchDictionary((4, 4), 5, pool=1).fit(images)
    assert not model.filters_.any()
    assert not model.transform(draw((2, 12, 12))).any()


def test_whitened_patches_have_equal_variances():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(5000, 8)) @ rng.normal(size=(8, 8))
    rows -= rows.mean(1, keepdims=True)
    axes = whitening_of(rows.astype("f4"), 1e-9, None, HOST)
    np.testing.assert_allclose(np.cov(axes @ rows.T, bias=True), np.eye(7), atol=2e-3)
    np.testing.assert_allclose((axes @ rows.T) @ (rows @ axes.T) / 5000, np.eye(7), atol=1e-4)
    u, s, _ = np.linalg.svd(rows.T @ rows / len(rows))
    for most in (None, 3):
        axes = whitening_of(rows.astype("f4"), 3.0, most, HOST)
        kept = slice(most or 7)
        np.testing.assert_allclose(
            axes.T @ axes, (u[:, kept] / (s[kept] + 3)) @ u[:, kept].T, atol=1e-5
        )


def test_clustering_explains_more_than_drawing():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(6, 12))
    true /= np.linalg.norm(true, axis=1, keepdims=True)
    gains = rng.normal(0, 2, 3000)[:, None]
    rows = (gains * true[rng.integers(0, 6, 3000)] + rng.normal(0, 0.05, (3000, 12))).astype("f4")
    found = cluster_atoms(rows, 12, np.random.default_rng(1), HOST, 20)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert np.abs(true @ found.T).max(1).min() > 0.999  # each true direction, with either sign
    drawn = draw_atoms(rows, 12, np.random.default_rng(1), HOST)
    explained = [((rows @ atoms.T) ** 2).max(1).sum() for atoms in (found, drawn)]
    assert explained[0] > explained[1]


def test_a_filter_is_whitening_times_an_atom():
    images = draw((5, 24, 24), std=9)
    plain = PatchDictionary((4, 4), 6, pool=1, atoms="random", whitening=None, contrast=0).fit(
        images
    )
    rows = plain.filters_.reshape(6, -1)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(rows.sum(1), 0, atol=1e-5)
    patches = explicit(images[:, None].astype("f8"), (4, 4), (1, 1)).reshape(-1, 16)
    patches = patches - patches.mean(1, keepdims=True)
    patches /= np.maximum(np.linalg.norm(patches, axis=1, keepdims=True), 1e-9)
    assert (patches @ rows.T).max(0).min() > 1 - 1e-6  # each is a patch of the images


def test_channels_have_means_and_variances_of_their_own():
    images = draw((4, 2, 20, 20))
    other = (
        images * np.array([1, 1000], "f4")[:, None, None] + np.array([0, -3e4], "f4")[:, None, None]
    )
    options = {"n_atoms": 8, "pool": 2, "atoms": "random", "n_patches": 300, "contrast": 1e-6}
    got, scaled = (PatchDictionary((4, 4), **options).fit(i).transform(i) for i in (images, other))
    np.testing.assert_allclose(scaled, got, atol=2e-3)
    joint = [
        PatchDictionary((4, 4), per_channel=False, **options).fit(i).transform(i)
        for i in (images, other)
    ]
    assert np.abs(joint[0] - joint[1]).max() > 0.05
    model = PatchDictionary((4, 4), per_channel=False, **options).fit(images)
    expected = naive(images, model, [(2, 2)], (1, 1)).reshape(4, -1)
    np.testing.assert_allclose(model.transform(images), expected, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"pool": [(3, 3), (1, 2)]}])
def test_pieces_of_any_size_give_the_same(monkeypatch, options):
    images = draw((5, 40, 41))
    model = PatchDictionary((6, 6), 9, atoms="random", **options).fit(images)
    whole = model.transform(images)
    np.testing.assert_array_equal(model.transform(images[2:3]), whole[2:3])
    np.testing.assert_array_equal(
        np.concatenate([model.transform(images[i : i + 2]) for i in (0, 2, 4)]), whole
    )
    monkeypatch.setitem(encoding._BYTES, "cpu", 1)
    np.testing.assert_allclose(model.transform(images), whole, rtol=0, atol=1e-6)


def test_two_layers_are_one_on_the_responses_of_another():
    images = draw((4, 40, 41))
    below = PatchDictionary((5, 5), 6, pool=(9, 8), threshold=0.1, n_patches=500, rounds=2)
    options = {"pool": [(2, 2), (1, 1)], "n_patches": 200, "rounds": 2}
    model = PatchDictionary((3, 2), 7, below=below, **options).fit(images)
    assert not hasattr(below, "atoms_")
    lower = clone(below).fit(images)
    maps = lower.transform(images).reshape(4, 9, 8, 12).transpose(0, 3, 1, 2)
    alone = PatchDictionary((3, 2), 7, per_channel=False, **options).fit(maps)
    np.testing.assert_allclose(model.filters_, alone.filters_, atol=1e-5)
    assert model.filters_.shape == (7, 12, 3, 2)
    expected = naive(maps, model, options["pool"], (1, 1)).reshape(4, -1)
    np.testing.assert_allclose(model.transform(images), expected, atol=1e-5)
    np.testing.assert_allclose(model.transform(images[1:2]), expected[1:2], atol=1e-5)
    assert len(model.get_feature_names_out()) == expected.shape[1]
    assert expected.max() > 0.1
    threefold = PatchDictionary((2, 2), 3, below=model.set_params(pool=5), pool=1, n_patches=20)
    assert threefold.fit_transform(images).shape == (4, 6)


def test_volumes_with_channels_in_two_layers():
    volumes = draw((3, 2, 10, 11, 12))
    below = PatchDictionary((3, 3, 3), 4, pool=4, overlap=2, sign="absolute", n_patches=300)
    model = PatchDictionary((2, 2, 2), 5, below=below, pool=1, n_patches=20, rounds=1)
    model.fit(volumes)
    lower = model.below_
    maps = lower.transform(volumes).reshape(3, 3, 3, 3, 4).transpose(0, 4, 1, 2, 3)
    expected = naive(maps, model, [(1, 1, 1)], (1, 1, 1)).reshape(3, -1)
    np.testing.assert_allclose(model.transform(volumes), expected, atol=1e-5)


def test_overlap_averages_neighbouring_cells():
    images = draw((3, 30, 33))
    model = fitted(images).set_params(pool=(4, 5))
    cells = model.transform(images).reshape(3, 4, 5, 2, 9)
    got = model.set_params(overlap=3).transform(images)
    expected = sliding_window_view(cells, (3, 3), (1, 2)).mean((-2, -1))
    np.testing.assert_allclose(got, expected.reshape(3, -1), rtol=1e-5, atol=1e-7)
    assert model.get_feature_names_out()[-1] == "4x5[1,2] atom 8 -"
    assert len(model.get_feature_names_out()) == got.shape[1]


def test_dilated_patches_are_those_of_every_other_pixel():
    images = draw((3, 30, 32))
    model = PatchDictionary((3, 4), 6, dilation=2, step=2, pool=2, n_patches=300).fit(images)
    every = clone(model).set_params(dilation=1, step=1).fit(images[:, ::2, ::2])
    np.testing.assert_allclose(model.filters_, every.filters_, atol=1e-6)
    expected = every.transform(images[:, ::2, ::2])
    np.testing.assert_allclose(model.transform(images), expected, atol=1e-6)


@pytest.mark.parametrize("count", [2, 30])
def test_leading_axes_alone_give_their_share_of_the_responses(count):
    images = draw((4, 30, 30))
    model = PatchDictionary((6, 6), 70, n_components=count, pool=2, n_patches=600).fit(images)
    assert model.axes_.shape == (count, 36)
    assert np.linalg.matrix_rank(model.filters_.reshape(70, -1)) == count
    expected = naive(images, model, [(2, 2)], (1, 1)).reshape(4, -1)
    np.testing.assert_allclose(model.transform(images), expected, atol=1e-5)


@pytest.mark.parametrize("count", [91, 3000])
def test_tiles_cover_every_patch_once(count):
    tiles = make_tiles((count, 95), ((6, 6), (4, 5)))
    starts, boxes = tiles.places(0, tiles.cells.shape[1], 6, (100, 1))
    assert sorted(starts[starts >= 0]) == sorted(
        (np.arange(count)[:, None] * 100 + np.arange(95)).flat
    )
    assert boxes[:, 1].max() * 6 < 256 + 6
    assert boxes[0, 0] == 0
    np.testing.assert_array_equal(np.diff(boxes[:, 0]), 6 * boxes[:-1, 1])
