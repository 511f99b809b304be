"""Operators on what is not in memory: the same values, within a limit, from and to any place."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import fastmm
from fastmm.errors import FastmmError
from fastmm.streams.limits import check_limit, say_bytes
from fastmm.streams.pages import mapping_of

OPERATORS = {
    "resize": partial(fastmm.resize, shape=(9, 11)),
    "resize nearest": partial(fastmm.resize, shape=(30, 5), interpolation="nearest"),
    "resize cubic": partial(fastmm.resize, shape=(9, 11), interpolation="cubic", antialias=True),
    "window": partial(fastmm.window, center=40, width=400),
    "normalize": fastmm.normalize,
    "percentile": partial(fastmm.normalize, method="percentile", clip=(0, 1)),
    "clip_histogram": fastmm.clip_histogram,
    "median": fastmm.denoise,
    "gaussian": partial(fastmm.denoise, method="gaussian"),
    "equalize": fastmm.equalize,
    "extract_patches": partial(fastmm.extract_patches, patch_size=(5, 4), step=3, pad="cover"),
    "merge_patches": partial(fastmm.merge_patches, shape=(181,), step=7),  # 24 patches of 20
    "patch_statistics": partial(fastmm.patch_statistics, patch_size=(6, 6), step=5),
    "preprocess": partial(
        fastmm.preprocess, shape=(12, 12), window=(40, 400), normalize="zscore",
        patch_size=(4, 4), step=4,
    ),
}  # fmt: skip


class Slices:
    """An array that only knows slices, and remembers which it was asked for."""

    def __init__(self, array, fails_at=None):
        self.shape, self.dtype = array.shape, array.dtype
        self.asked, self._array, self._fails_at = [], array, fails_at

    def __getitem__(self, key):
        self.asked.append(key)
        if len(self.asked) == self._fails_at:
            raise OSError("the disk is gone")
        return self._array[key].copy()


@pytest.fixture(scope="module")
def stack():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(13, 24, 20)) * 300).astype("int16")


def mapped(path, array):
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def least(operator, stack):
    """Return the limit that is said to be the least."""
    with pytest.raises(ValueError, match="must be at least") as caught:
        operator(Slices(stack), memory_limit=1, out=np.empty_like(operator(stack)))
    return check_limit(str(caught.value).split("at least ")[1].split(" ")[0])


def small(operator, stack):
    """Return a limit under which `operator` takes several chunks into an `out`."""
    return least(operator, stack) + 3 * stack[0].size * 16


@pytest.mark.parametrize("dtype", ["int16", "float32", "float16"])
@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_chunks_give_the_bits_of_one_call(name, dtype, stack, tmp_path):
    operator, stack = OPERATORS[name], stack.astype(dtype)
    expected = operator(stack)
    source, out = Slices(stack), np.empty_like(expected)
    result = operator(source, memory_limit=small(operator, stack), out=out)
    assert result is out
    assert len(source.asked) > 1
    np.testing.assert_array_equal(out, expected)
    on_disk = np.lib.format.open_memmap(
        tmp_path / "out.npy", "w+", dtype=expected.dtype, shape=expected.shape
    )
    limit = small(operator, stack) + stack.nbytes + out.nbytes
    assert operator(mapped(tmp_path / "a.npy", stack), memory_limit=limit, out=on_disk) is on_disk
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)


def test_arrays_of_any_library(xp, stack):
    images = stack[:4, :8, :8].copy() if xp.small else stack
    given = xp.asarray(images)
    for operator in (partial(fastmm.window, center=40, width=400), fastmm.normalize):
        expected = operator(images)
        for out in (None, xp.asarray(np.zeros_like(expected))):
            limit = "100MB" if out is None else 3 * images[0].size * 16
            result = operator(given, memory_limit=limit, out=out)
            assert out is None or result is out
            np.testing.assert_allclose(xp.asnumpy(result), expected, atol=1e-6)


def test_zarr_in_and_out(stack, tmp_path):
    zarr = pytest.importorskip("zarr", reason="zarr is not installed")
    source = zarr.create_array(tmp_path / "in", shape=stack.shape, chunks=(2, 24, 20), dtype="i2")
    source[:] = stack
    expected = fastmm.resize(stack, (8, 8))
    assert np.array_equal(fastmm.resize(source, (8, 8)), expected)  # with no limit, too
    out = zarr.create_array(tmp_path / "out", shape=(13, 8, 8), chunks=(4, 8, 8), dtype="f4")
    assert fastmm.resize(source, (8, 8), memory_limit="50kB", out=out) is out
    assert np.array_equal(out[:], expected)
    wrong = zarr.create_array(tmp_path / "wrong", shape=(13, 8, 9), dtype="f4")
    with pytest.raises(ValueError, match=r"must have the shape \(13, 8, 8\)"):
        fastmm.resize(source, (8, 8), out=wrong)
    (tmp_path / "in" / "c" / "1" / "0" / "0").write_bytes(b"no chunk")
    with pytest.raises(FastmmError, match="`images` could not be read from row 0 to"):
        fastmm.resize(source, (8, 8), memory_limit="50kB", out=out)


def test_masks_are_cut_as_images_are(stack):
    rng = np.random.default_rng(1)
    for shape in ((24, 20), (13, 24, 20), (1, 24, 20), (13, 1, 20)):
        mask = rng.random(shape) > 0.4
        for operator in (fastmm.normalize, fastmm.clip_histogram):
            expected = operator(stack, mask=mask)
            for given in (mask, Slices(mask)):
                out = np.empty_like(expected)
                operator(Slices(stack), mask=given, memory_limit="30kB", out=out)
                np.testing.assert_array_equal(out, expected)
    with pytest.raises(ValueError, match="`mask` must broadcast"):
        fastmm.normalize(stack, mask=np.ones((5, 24, 20)), memory_limit="1MB")


def test_statistics_of_the_whole_batch_keep_it_together(stack):
    expected = fastmm.normalize(stack, per="batch")
    source = Slices(stack)
    np.testing.assert_array_equal(
        fastmm.normalize(source, per="batch", memory_limit="1MB"), expected
    )
    assert len(source.asked) == 1
    with pytest.raises(ValueError, match="`memory_limit` must be at least"):
        fastmm.normalize(source, per="batch", memory_limit="20kB", out=np.empty_like(expected))


@pytest.mark.parametrize("shape", [(24, 20), (0, 24, 20), (3, 0, 24, 20), (2, 3, 4, 24, 20)])
def test_any_batch_axes(shape):
    images = np.random.default_rng(2).normal(size=shape).astype("float32")
    expected = fastmm.resize(images, (7, 7))
    for limit in ("9kB", "20kB", "1MB"):
        out = np.empty_like(expected)
        assert fastmm.resize(Slices(images), (7, 7), memory_limit=limit, out=out) is out
        np.testing.assert_array_equal(out, expected)


def test_lists_of_images_of_several_sizes():
    rng = np.random.default_rng(3)
    images = [rng.normal(size=(10 + i, 30 - i)).astype("float32") for i in range(9)]
    expected = fastmm.resize(images, (8, 8))
    out = np.empty_like(expected)
    fastmm.resize(images, (8, 8), memory_limit="6kB", out=out)
    np.testing.assert_array_equal(out, expected)
    images[7] = images[7].astype("float64")
    with pytest.raises((TypeError, ValueError), match="dtype"):
        fastmm.resize(images, (8, 8), memory_limit="6kB", out=out)


def test_transforms_of_features(stack):
    images = stack.astype("float32")
    for model in (
        fastmm.PatchDictionary((5, 5), n_atoms=6, pool=3, overlap=2, n_patches=500),
        fastmm.FisherVectors((2,), n_gaussians=3, n_components=5, step=3),
    ):
        expected = model.fit(images).transform(images)
        out = np.empty_like(expected)
        source = Slices(np.concatenate([images] * 3))
        assert model.transform(Slices(images), memory_limit="80MB", out=out) is out
        np.testing.assert_array_equal(out, expected)
        np.testing.assert_array_equal(model.transform(source)[13:26], expected)
        assert model.transform(images[:0]).shape == (0, expected.shape[1])
        with pytest.raises(ValueError, match="`memory_limit` must be at least"):
            model.transform(images, memory_limit="1MB")


@pytest.mark.parametrize(
    ("limit", "error", "message"),
    [
        (0, ValueError, "positive integer"), (-5, ValueError, "positive"),
        ("2 bananas", ValueError, '"2GB", "500MB"'), ("", ValueError, "such as"),
        ("-1GB", ValueError, "such as"), (1.5, TypeError, "got 1.5"), (True, TypeError, "True"),
    ],
)  # fmt: skip
def test_limits_that_are_none(limit, error, message, stack):
    with pytest.raises(error, match=message):
        fastmm.window(stack, 0, 1, memory_limit=limit)


def test_units_of_limits():
    assert check_limit("2GB") == check_limit(" 2000 mb") == 2 * 10**9
    assert check_limit("1GiB") == 1 << 30
    assert check_limit("1.5kB") == 1500
    assert check_limit(np.int64(7)) == 7
    for count in (1, 999, 1000, 123_456, 99_999_999, 10**12 + 1):
        assert check_limit(say_bytes(count)) >= count


def test_the_smallest_limit_that_is_named_works(stack):
    for operator in OPERATORS.values():
        out = np.empty_like(operator(stack))
        operator(Slices(stack), memory_limit=least(operator, stack), out=out)
    with pytest.raises(ValueError, match=r"of which the result takes 24\.96kB; `out` on disk"):
        fastmm.window(stack, 0, 1, memory_limit=9)


def test_outs_that_cannot_be(stack):
    good = np.empty(stack.shape, "f4")
    call = partial(fastmm.window, center=0, width=1)
    with pytest.raises(ValueError, match="must have the dtype float32"):
        call(stack, out=np.empty(stack.shape))
    with pytest.raises(ValueError, match=r"must have the shape \(13, 24, 20\)"):
        call(stack, out=good[1:])
    with pytest.raises(TypeError, match="`out` must be an array"):
        call(stack, out=[1, 2])
    good.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        call(stack, out=good)
    floats = stack.astype("f4")
    with pytest.raises(ValueError, match="must not share memory"):
        call(floats, out=floats)


def test_a_source_that_breaks_says_where(stack):
    out = np.zeros(stack.shape, "f4")
    with pytest.raises(FastmmError, match="from row 1 to 2: OSError: the disk is gone"):
        fastmm.window(Slices(stack, fails_at=2), 0, 1, memory_limit="6kB", out=out)


def test_what_the_operator_refuses_is_refused(stack):
    with pytest.raises(ValueError, match="`shape` must be 2 or 3"):
        fastmm.resize(stack, (3,), memory_limit="1MB")
    with pytest.raises(TypeError, match="missing"):
        fastmm.resize(stack, memory_limit="1MB")
    with pytest.raises(ValueError, match="real numbers"):
        fastmm.window(Slices(stack.astype(complex)), 0, 1)
    with pytest.raises(ValueError, match="at least 2 axes"):
        fastmm.resize(np.ones(3), (2, 2), memory_limit="1MB")
    with pytest.raises(TypeError, match="masked"):
        fastmm.window(np.ma.masked_equal(stack, 0), 0, 1, memory_limit="1MB")


def test_pages_of_private_copies_are_kept(tmp_path, stack):
    np.save(tmp_path / "a.npy", stack)
    private = np.load(tmp_path / "a.npy", mmap_mode="c")
    private[5] = 7
    assert mapping_of(private) is None
    fastmm.window(private, 0, 1, memory_limit="40kB", out=np.empty(stack.shape, "f4"))
    assert (private[5] == 7).all()  # dropping its pages would have brought the file back
    written = np.load(tmp_path / "a.npy", mmap_mode="r+")
    written[5] = 9
    fastmm.window(written, 0, 1, memory_limit="40kB", out=np.empty(stack.shape, "f4"))
    assert (written[5] == 9).all()
