"""PatchDictionary against explicit patches in float64, and by what defines each part."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmm import PatchDictionary, load_model, save_model
from fastmm._space import Space
from fastmm.features import encoding
from fastmm.features.atoms import cluster_atoms, draw_atoms, whitening_of
from fastmm.features.pooling import make_tiles

HOST = Space("cpu")


def explicit(images, size, step):
    """Return all patches, (n, *grid, channels, pixels), of images (n, channels, ...)."""
    spatial = len(size)
    views = sliding_window_view(images, size, tuple(range(2, 2 + spatial)))
    views = np.moveaxis(views, 1, 1 + spatial)
    views = views[(slice(None), *(slice(None, None, s) for s in step))]
    return views.reshape(*views.shape[: 2 + spatial], -1)


def naive(images, model, pools, step, threshold=0.25):
    """Encode images in float64 as the equations say, one cell at a time."""
    filters, floors = model.filters_.astype("f8"), model.floors_ / model.gain_**2
    spatial = filters.ndim - 2
    images = images.astype("f8")
    if images.ndim == spatial + 1:
        images = images[:, None]
    patches = explicit(images, filters.shape[2:], step)
    lead = patches.shape[: 1 + spatial]
    patches = patches.reshape(*lead, floors.size, -1)
    patches = patches - patches.mean(-1, keepdims=True)
    variance = (patches**2).mean(-1) + floors
    patches = patches / np.sqrt(np.where(variance > 0, variance, 1))[..., None]
    responses = patches.reshape(*lead, -1) @ filters.reshape(len(filters), -1).T
    found = [np.maximum(sign * responses - threshold, 0) for sign in (1, -1)]
    found, grid = np.stack(found, -2), lead[1:]
    cells = []
    for pool in pools:
        for cell in np.ndindex(*pool):
            bounds = [
                (g * c // p, g * (c + 1) // p) for g, c, p in zip(grid, cell, pool, strict=True)
            ]
            part = found[(slice(None), *(slice(*b) for b in bounds))]
            cells.append(part.mean(tuple(range(1, 1 + spatial))))
    return np.stack(cells, 1)


def draw(shape, dtype="f4", mean=40.0, std=9.0, seed=0):
    images = np.random.default_rng(seed).normal(mean, std, shape)
    images[0, ..., : shape[-1] // 2] = images.flat[0]  # patches without contrast, too
    return images.astype(dtype)


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
    expected = naive(wide, model := _fitted(wide), [(2, 2)], (1, 1)).reshape(4, -1)
    images = (wide * scale).astype("f4")
    got = _fitted(images).transform(images)
    # float32 itself rounds images of mean 1e4 and deviation 1 to 5e-4.
    tolerance = 1e-5 if mean == 0 else 2e-3
    assert np.abs(model.transform(wide) - expected).max() < 1e-5
    assert np.abs(got - expected).max() < tolerance


def _fitted(images):
    return PatchDictionary((5, 5), 9, pool=2, atoms="random", n_patches=400).fit(images)


@pytest.mark.parametrize("peak", [1e22, 1e30, 3e38])
def test_patches_of_enormous_contrast_are_exact(peak):
    images = draw((2, 24, 24))
    model = _fitted(images)
    images[1] *= np.float32(peak / np.abs(images[1]).max())
    expected = naive(images, model, [(2, 2)], (1, 1)).reshape(2, -1)
    np.testing.assert_allclose(model.transform(images), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, -1024.0, 0.1, 1e30])
def test_constant_images_have_no_features(xp, value):
    model = _fitted(draw((2, 12, 12) if xp.small else (4, 24, 24)))
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
    model = _fitted(images).set_params(pool=(4, 5))
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


def test_seeds_decide():
    images = draw((4, 20, 20))
    models = [
        PatchDictionary((4, 4), 8, pool=1, n_patches=200, seed=s).fit(images) for s in (3, 3, 4)
    ]
    np.testing.assert_array_equal(models[0].filters_, models[1].filters_)
    assert np.abs(models[0].filters_ - models[2].filters_).max() > 0.01


def test_any_array_library(xp):
    shape, size, pool = (
        ((2, 12, 12), (3, 3), (2, 2)) if xp.small else ((5, 2, 40, 41), (6, 6), [(3, 3), (1, 1)])
    )
    images = draw(shape)
    model = PatchDictionary(size, 70 if not xp.small else 3, pool=pool, rounds=2, n_patches=400)
    expected = model.fit_transform(images)
    there = clone(model).fit(xp.asarray(images))
    got = xp.asnumpy(there.transform(xp.asarray(images)))
    assert isinstance(there.filters_, np.ndarray)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)
    got = xp.asnumpy(model.transform(xp.asarray(images)))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


def test_any_layout_and_the_input_stays():
    images = draw((4, 20, 21))
    model = _fitted(images)
    expected = model.transform(images)
    turned = np.asfortranarray(images)
    turned.flags.writeable = False
    np.testing.assert_array_equal(model.transform(turned), expected)
    backwards = np.ascontiguousarray(images[:, ::-1])[:, ::-1]
    np.testing.assert_array_equal(model.transform(backwards), expected)
    np.testing.assert_array_equal(_fitted(backwards).filters_, model.filters_)


def test_guests_by_dlpack_leave_as_what_they_came():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    images = draw((3, 20, 21))
    model = _fitted(images)
    got = model.transform(torch.from_numpy(images))
    assert isinstance(got, torch.Tensor)
    np.testing.assert_array_equal(got.numpy(), model.transform(images))
    np.testing.assert_array_equal(
        model.transform(images.tolist()), model.transform(images.astype("f8"))
    )


def test_calls_from_several_threads():
    images = draw((8, 40, 41))
    model = PatchDictionary((6, 6), 70, pool=3, n_patches=500, rounds=1).fit(images)
    expected = model.transform(images)
    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(model.transform, [images] * 16):
            np.testing.assert_array_equal(got, expected)


def test_model_files(tmp_path):
    images = draw((4, 20, 21))
    below = PatchDictionary((3, 3), 4, pool=8, n_patches=400)
    model = PatchDictionary((3, 3), 5, pool=[(2, 2), 1], n_patches=100, below=below).fit(images)
    again = load_model(save_model(model, tmp_path / "dictionary.fastmm"))
    np.testing.assert_array_equal(again.transform(images), model.transform(images))
    assert str(again) == str(model)


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


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"patch_size": (0, 3)}, ValueError, "`patch_size"),
        ({"patch_size": (30, 3)}, ValueError, "`patch_size` must fit into the images"),
        ({"patch_size": (3,), "pool": 19}, ValueError, "`pool` must have no more cells"),
        ({"n_atoms": 0}, ValueError, "`n_atoms` must be a positive integer, got 0"),
        ({"n_atoms": 1000}, ValueError, "`n_atoms` must be at most the number of patches"),
        ({"pool": 19}, ValueError, "`pool` must have no more cells than there are patches"),
        ({"pool": (2, 0)}, ValueError, r"`pool\[1\]` must be a positive integer"),
        ({"pool": []}, ValueError, "`pool` must hold at least one grid|`pool` must be 2"),
        ({"pool": "global"}, TypeError, "`pool` must be a positive integer"),
        ({"step": 0}, ValueError, "`step` must be a positive integer, got 0"),
        ({"atoms": "pca"}, ValueError, "`atoms` must be one of"),
        ({"threshold": -1}, ValueError, "`threshold` must be a finite number of at least 0"),
        ({"sign": "negative"}, ValueError, "`sign` must be one of"),
        ({"whitening": 0}, ValueError, "`whitening` must be a finite number greater than 0"),
        ({"contrast": -0.1}, ValueError, "`contrast` must be a finite number of at least 0"),
        ({"n_patches": 0}, ValueError, "`n_patches` must be a positive integer"),
        ({"n_components": 0}, ValueError, "`n_components` must be a positive integer"),
        ({"n_components": 2, "whitening": None}, ValueError, "`n_components` must be None"),
        ({"dilation": 0}, ValueError, "`dilation` must be a positive integer"),
        ({"dilation": 10}, ValueError, "`patch_size` must fit into the images"),
        ({"overlap": 0}, ValueError, "`overlap` must be a positive integer"),
        ({"overlap": 3}, ValueError, "`overlap` must be 1 for several grids, and at most"),
        ({"overlap": 2, "pool": [(3, 3), 2]}, ValueError, "`overlap` must be 1 for several grids"),
        ({"below": "layer"}, TypeError, "`below` must be a PatchDictionary or None, got str"),
        ({"below": PatchDictionary((2,))}, ValueError, "`below` must have patches of as many"),
        (
            {"below": PatchDictionary((2, 2), pool=[(2, 2), (1, 1)])},
            ValueError,
            "`below` must have patches of as many axes and a single grid",
        ),
        ({"rounds": -1}, ValueError, "`rounds` must be an integer of at least 0"),
        ({"seed": -1}, ValueError, "`seed` must be an integer of at least 0"),
    ],
)
def test_wrong_parameters(options, error, message):
    model = PatchDictionary(**{"patch_size": (3, 3), "n_atoms": 4, "pool": 2, **options})
    with pytest.raises(error, match=message):
        model.fit(draw((2, 20, 20)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(bad):
    images = draw((3, 20, 20))
    model = _fitted(images)
    images[2, 3, 4] = bad
    for call in (model.transform, clone(model).fit):
        with pytest.raises(ValueError, match=r"NaN or infinity: 1 of 1200 .* \(2, 3, 4\)"):
            call(images)


def test_wrong_images():
    model = _fitted(draw((3, 20, 20)))
    with pytest.raises(
        ValueError, match=r"shape \(n, 20, 20\) of those seen in fit, got \(3, 21, 20\)"
    ):
        model.transform(np.zeros((3, 21, 20)))
    with pytest.raises(NotFittedError):
        clone(model).transform(np.zeros((3, 20, 20)))
    with pytest.raises(ValueError, match="2 spatial axes"):
        clone(model).fit(np.zeros((20, 20)))
    with pytest.raises(ValueError, match="Complex data not supported"):
        clone(model).fit(np.zeros((3, 20, 20), complex))
    with pytest.raises(ValueError, match="not compatible with arrays of bytes/strings"):
        clone(model).fit(np.full((3, 20, 20), "a"))
    with pytest.raises(TypeError, match="masked array"):
        model.transform(np.ma.zeros((3, 20, 20)))
    with pytest.raises(ValueError, match="0 sample"):
        clone(model).fit(np.zeros((0, 20, 20)))
    assert model.transform(np.zeros((0, 20, 20))).shape == (0, 72)


@parametrize_with_checks(
    [PatchDictionary((2,), 3, pool=1, n_patches=100, rounds=1)],
    expected_failed_checks=lambda _: {
        "check_fit2d_1feature": "the message speaks of patches, which do not fit into one pixel"
    },
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)
