"""sample_patches: where patches may lie, that each place comes up, and the same draws anywhere."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from disk_sources import KINDS, least, on_disk, peak

from fastmm.image.sampling import sample_patches


def places_allowed(mask, size, inside):
    """Return, as tuples, the places at which a patch may begin in one image."""
    grid = [range(m - p + 1) for m, p in zip(mask.shape, size, strict=True)]
    found = set()
    for place in product(*grid):
        patch = mask[tuple(slice(a, a + p) for a, p in zip(place, size, strict=True))]
        center = patch[tuple(p // 2 for p in size)]
        if patch.all() if inside == "whole" else center:
            found.add(place)
    return found


def check(images, size, patches, positions):
    """Find every patch at its position, in order and never twice."""
    assert patches.dtype == images.dtype
    assert positions.dtype == np.int64
    assert positions.shape == (len(patches), images.ndim)
    batch = images.ndim - len(size)
    for patch, place in zip(patches, positions, strict=True):
        corner = [slice(a, a + p) for a, p in zip(place[batch:], size, strict=True)]
        np.testing.assert_array_equal(patch, images[(*place[:batch], *corner)])
    listed = [tuple(p) for p in positions.tolist()]
    assert listed == sorted(set(listed))


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((30,), (7,)),
        ((9, 10), (3, 4)),
        ((2, 3, 9, 10), (2, 5)),
        ((2, 5, 6, 7), (2, 3, 4)),
    ],
)
@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8", "bool"])
def test_patches_are_those_at_their_positions(shape, size, dtype):
    images = np.random.default_rng(0).integers(0, 99, shape).astype(dtype)
    patches, positions = sample_patches(images, size, 5)
    batch = shape[: len(shape) - len(size)]
    assert patches.shape == (5 * int(np.prod(batch)), *size)
    check(images, size, patches, positions)


def test_an_image_with_few_places_gives_all_of_them():
    images = np.arange(24).reshape(2, 3, 4)
    patches, positions = sample_patches(images, (2, 2), 100)
    assert positions.tolist() == [list(p) for p in product(range(2), range(2), range(3))]
    check(images, (2, 2), patches, positions)


@pytest.mark.parametrize("inside", ["center", "whole"])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (3, 3), (4, 2)])
def test_masks_leave_exactly_the_places_they_should(size, inside):
    rng = np.random.default_rng(0)
    images, mask = rng.normal(size=(3, 8, 9)), rng.random((3, 8, 9)) < 0.8
    mask[1] = False
    patches, positions = sample_patches(images, size, 10**6, mask=mask, inside=inside)
    check(images, size, patches, positions)
    expected = {(n, *p) for n in range(3) for p in places_allowed(mask[n], size, inside)}
    assert {tuple(p) for p in positions.tolist()} == expected
    some, where = sample_patches(images, size, 4, mask=mask, inside=inside)
    check(images, size, some, where)
    assert {tuple(p) for p in where.tolist()} <= expected
    counts = [min(4, sum(n == p[0] for p in expected)) for n in range(3)]
    assert np.bincount(where[:, 0], minlength=3).tolist() == counts


def test_volumes_and_masks_that_broadcast():
    volumes = np.random.default_rng(0).normal(size=(2, 5, 6, 7)).astype("f4")
    mask = np.zeros((6, 7), np.uint8)
    mask[2:5, 3:6] = 1
    _, positions = sample_patches(volumes, (2, 3, 3), 1000, mask=mask, inside="whole")
    assert positions.tolist() == [[n, z, 2, 3] for n in range(2) for z in range(4)]


def test_every_place_is_as_likely_as_any_other():
    image = np.zeros((4, 5))
    counts = np.zeros((3, 4))
    for seed in range(1200):
        _, positions = sample_patches(image, (2, 2), 3, seed=seed)
        np.add.at(counts, tuple(positions.T), 1)
    # 300 expected at each of 12 places; five standard deviations are 75.
    assert np.abs(counts - 300).max() < 75


def test_the_seed_decides_and_images_do_not_disturb_each_other():
    images = np.random.default_rng(0).normal(size=(3, 40, 40))
    _, first = sample_patches(images, (5, 5), 20, seed=7)
    _, again = sample_patches(images, (5, 5), 20, seed=7)
    _, other = sample_patches(images, (5, 5), 20, seed=8)
    _, alone = sample_patches(images[:1], (5, 5), 20, seed=7)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(first[:20], alone)
    assert not np.array_equal(first[:20, 1:], first[20:40, 1:])
    _, masked = sample_patches(images, (5, 5), 20, seed=7, mask=np.ones((40, 40), bool))
    np.testing.assert_array_equal(first, masked)


def test_any_array_library(xp):
    images = np.random.default_rng(0).normal(size=(2, 7, 8)).astype("f4")
    mask = np.random.default_rng(1).random((2, 7, 8)) < 0.7
    expected = sample_patches(images, (3, 2), 4, seed=3, mask=mask, inside="center")
    given = xp.asarray(images), xp.asarray(mask)
    got = sample_patches(given[0], (3, 2), 4, seed=3, mask=given[1])
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(xp.asnumpy(ours), theirs)


def test_nothing_to_draw_from():
    patches, positions = sample_patches(np.ones((5, 5)), (2, 2), 3, mask=np.zeros((5, 5), bool))
    assert patches.shape == (0, 2, 2)
    assert positions.shape == (0, 2)
    patches, positions = sample_patches(np.ones((0, 5, 5), "i2"), (2, 2), 3)
    assert patches.shape == (0, 2, 2)
    assert patches.dtype == np.int16
    assert positions.shape == (0, 3)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_patches": 0}, ValueError, "`max_patches` must be a positive integer, got 0"),
        ({"seed": -1}, ValueError, "`seed` must be an integer of at least 0, got -1"),
        ({"seed": None}, TypeError, "`seed` must be an integer of at least 0, got None"),
        ({"inside": "part"}, ValueError, '`inside` must be one of "center", "whole"'),
        ({"mask": np.ones((4, 5))}, ValueError, r"`mask` must broadcast to `images`, got shapes"),
        ({"patch_size": (9, 9)}, ValueError, r"patches of \(9, 9\) for `images` of shape \(5, 5\)"),
        ({"images": None}, TypeError, "`images` must be an array, got None"),
    ],
)
def test_wrong_arguments_are_named(options, error, message):
    given = {"images": np.ones((5, 5)), "patch_size": (2, 2), "max_patches": 3} | options
    with pytest.raises(error, match=message):
        sample_patches(**given)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inside", ["center", "whole"])
def test_images_on_disk_give_the_same_patches_under_a_limit(kind, inside, tmp_path):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(30, 2, 180, 200)).astype("float32")
    lying = on_disk(kind, images, tmp_path)
    for mask in (None, rng.random((180, 200)) > 0.1, rng.random((30, 1, 180, 200)) > 0.1):

        def sampled(limit, mask=mask):
            return sample_patches(lying, (3, 2), 4, mask=mask, inside=inside, memory_limit=limit)

        expected = sample_patches(images, (3, 2), 4, mask=mask, inside=inside)
        lowest = least(sampled)
        sampled(lowest)
        found, held = peak(lambda: sampled(lowest))  # noqa: B023
        assert held <= 1.3 * lowest
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match=r"`mask` must broadcast.*\(7, 1, 180, 200\)"):
        sample_patches(lying, (3, 2), 4, mask=np.ones((7, 1, 180, 200), bool), memory_limit="50MB")


@pytest.mark.parametrize("dtype", [">f4", ">i2", "<f8"])
def test_files_of_another_byte_order_or_alignment(dtype, tmp_path):
    images = np.random.default_rng(0).integers(0, 99, (9, 20, 30)).astype(dtype)
    (tmp_path / "odd").write_bytes(b"1" + images.tobytes())
    lying = np.memmap(tmp_path / "odd", dtype, "r", 1, images.shape)
    found = sample_patches(lying, (3, 2), 4, memory_limit="20MB")
    for one, other in zip(found, sample_patches(images, (3, 2), 4), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_store_without_a_limit_and_one_image_of_it(tmp_path):
    image = np.arange(30.0).reshape(5, 6)
    for one, other in zip(
        sample_patches(on_disk("sliced", image, tmp_path), (2, 2), 3),
        sample_patches(image, (2, 2), 3),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
