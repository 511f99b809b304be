"""resize of lists: images of any sizes in one launch, where they lie in memory."""

from __future__ import annotations

import numpy as np
import pytest
from fastmm.kernels._jit import Kernel

from fastmm import resize

METHODS = [("nearest", False), ("linear", False), ("cubic", False), ("area", False)]
METHODS += [("linear", True), ("cubic", True)]
methods = pytest.mark.parametrize(("interpolation", "antialias"), METHODS)
SHAPES = [(7, 9), (12, 5), (3, 30), (7, 9), (1, 1), (40, 41)]


def draw(shapes, dtype="float32", seed=0):
    rng = np.random.default_rng(seed)
    return [(100 * rng.normal(size=shape)).astype(dtype) for shape in shapes]


def one_by_one(images, shape, **options):
    return np.stack([resize(image, shape, **options) for image in images])


@methods
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint8", "float16", "bool"])
def test_equals_one_by_one(dtype, interpolation, antialias):
    options = {"interpolation": interpolation, "antialias": antialias}
    images = draw(SHAPES, dtype)
    for shape in ((8, 11), (25, 6), (1, 1)):
        got, expected = resize(images, shape, **options), one_by_one(images, shape, **options)
        assert got.dtype == expected.dtype
        assert got.shape == (len(images), *shape)
        tolerance = 0 if interpolation == "nearest" else 2e-4
        np.testing.assert_allclose(got.astype(float), expected, rtol=0, atol=tolerance)


@methods
def test_volumes_and_batch_axes(interpolation, antialias):
    options = {"interpolation": interpolation, "antialias": antialias}
    volumes = draw([(4, 6, 5), (7, 3, 8), (4, 6, 5)])
    expected = one_by_one(volumes, (5, 4, 7), **options)
    np.testing.assert_allclose(resize(volumes, (5, 4, 7), **options), expected, rtol=0, atol=2e-4)
    stacks = draw([(2, 3, 6, 5), (2, 3, 8, 8)])
    got = resize(tuple(stacks), (4, 7), **options)
    assert got.shape == (2, 2, 3, 4, 7)
    np.testing.assert_allclose(got, one_by_one(stacks, (4, 7), **options), rtol=0, atol=2e-4)


@methods
def test_any_array_library(xp, interpolation, antialias):
    options = {"interpolation": interpolation, "antialias": antialias}
    images = draw([(3, 4), (5, 2), (1, 3)] if xp.small else SHAPES)
    got = xp.asnumpy(resize([xp.asarray(i) for i in images], (3, 5), **options))
    np.testing.assert_allclose(got, one_by_one(images, (3, 5), **options), rtol=0, atol=2e-4)


def test_every_layout_gives_the_same_values():
    image = draw([(20, 30)])[0]
    raw = np.zeros(image.nbytes + 1, np.uint8)
    raw[1:] = image.view(np.uint8).ravel()
    read_only = image.copy()
    read_only.flags.writeable = False
    swapped = image.astype(image.dtype.newbyteorder(">"))
    layouts = [image, np.asfortranarray(image), image[::-1].copy()[::-1], read_only, swapped]
    layouts += [np.repeat(image, 2, axis=1)[:, ::2], raw[1:].view("f4").reshape(image.shape)]
    for got in resize(layouts, (9, 11)):
        np.testing.assert_array_equal(got, resize([image], (9, 11))[0])


def test_one_launch_and_nothing_else(monkeypatch):
    launched = []
    original = Kernel.run_cpu

    def counting(self, *args):
        launched.append(self.name)
        original(self, *args)

    monkeypatch.setattr(Kernel, "run_cpu", counting)
    resize(draw(SHAPES), (8, 11))
    assert launched == ["weigh"]


def test_images_of_one_size_are_a_list_too():
    images = draw([(6, 7)] * 3)
    np.testing.assert_allclose(
        resize(images, (4, 9)), resize(np.stack(images), (4, 9)), rtol=0, atol=1e-4
    )
    np.testing.assert_array_equal(resize(images, (6, 7)), np.stack(images))


def test_rows_in_a_list_form_one_image():
    image = draw([(6, 7)])[0]
    np.testing.assert_array_equal(resize(list(image), (4, 9)), resize(image, (4, 9)))
    np.testing.assert_array_equal(resize([image, image], (4, 4, 9)), resize(
        np.stack([image, image]), (4, 4, 9)))  # fmt: skip


def test_tensors_leave_as_tensors():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    images = draw(SHAPES)
    got = resize([torch.from_numpy(image) for image in images], (8, 11))
    assert type(got) is torch.Tensor
    np.testing.assert_array_equal(got.numpy(), resize(images, (8, 11)))


def test_batches_without_images():
    empty = [np.zeros((0, 4, 5), np.float32), np.zeros((0, 3, 3), np.float32)]
    assert resize(empty, (2, 2)).shape == (2, 0, 2, 2)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (draw([(3, 3)]) + draw([(3, 3)], "f8"), TypeError, r"one dtype, got float32 .* float64"),
        ([np.eye(3), np.ones((2, 3, 3))], ValueError, r"same axes before the spatial ones"),
        ([np.eye(3), np.ones((0, 3))], ValueError, r"`images\[1\]` must not be empty"),
        ([np.eye(3), np.eye(3) * 1j], ValueError, r"`images\[1\]` must hold real numbers"),
        ([np.eye(3), np.ma.masked_invalid(np.eye(3))], TypeError, r"`images\[1\]` is a masked"),
        ([], ValueError, "at least 2 axes"),
    ],
)
def test_wrong_lists_are_named(images, error, message):
    with pytest.raises(error, match=message):
        resize(images, (2, 2))


def test_arrays_on_two_devices_are_refused(monkeypatch):
    from fastmm import _space

    real = _space._take_in

    def second_is_elsewhere(array, name):
        space, taken, leave = real(array, name)
        return (_space.Space("cuda", 1) if name == "images[1]" else space), taken, leave

    monkeypatch.setattr(_space, "_take_in", second_is_elsewhere)
    with pytest.raises(TypeError, match=r"`images\[0\]` lives on the cpu but `images\[1\]`"):
        resize(draw([(3, 3), (4, 4)]), (2, 2))
