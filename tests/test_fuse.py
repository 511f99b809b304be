"""stack_features against StandardScaler and np.hstack, and its answer to bad blocks."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from disk_sources import KINDS, least, on_disk, peak
from sklearn.preprocessing import StandardScaler

from fastmm import StackedFeatures, stack_features


def cohort(rows=40, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    return {
        "ct": rng.normal(-600, 300, (rows, 7)).astype(dtype),
        "genes": rng.lognormal(2, 1, (rows, 11)).astype(dtype),
        "age": rng.normal(60, 12, rows).astype(dtype),
    }


def scikit_learn(blocks):
    columns = [np.asarray(b, np.float64).reshape(len(b), -1) for b in blocks.values()]
    return np.hstack([StandardScaler().fit_transform(c) for c in columns])


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-6)])
def test_equals_standard_scaler_and_hstack(dtype, tolerance):
    blocks = cohort(dtype=dtype)
    got = stack_features(blocks)
    assert isinstance(got, StackedFeatures)
    assert got.X.dtype == dtype
    assert got.slices == {"ct": slice(0, 7), "genes": slice(7, 18), "age": slice(18, 19)}
    np.testing.assert_allclose(got.X, scikit_learn(blocks), rtol=0, atol=tolerance)
    np.testing.assert_allclose(
        (got.origin + got.shift)[got.slices["ct"]], blocks["ct"].mean(0), rtol=1e-6
    )


def test_a_wide_block_is_cut_into_tiles():
    # More columns than a tile holds, and enough work for the parallel build.
    block = np.random.default_rng(1).normal(5, 3, (50, 3001)).astype(np.float32)
    np.testing.assert_allclose(
        stack_features({"a": block}).X, scikit_learn({"a": block}), rtol=0, atol=2e-6
    )


@pytest.mark.parametrize("rows", [2, 1000])
def test_a_large_mean_costs_float32_nothing(rows):
    block = np.random.default_rng(2).normal(1e4, 1, (rows, 5)).astype(np.float32)
    got = stack_features({"a": block})
    np.testing.assert_allclose(got.X, naive.standardize(block), rtol=0, atol=1e-5)
    np.testing.assert_allclose(got.apply({"a": block}), got.X, rtol=0, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.7, 1e30])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_constant_column_becomes_exactly_zero(dtype, value):
    block = np.random.default_rng(3).normal(size=(33, 4)).astype(dtype)
    block[:, 2] = value
    got = stack_features({"a": block})
    np.testing.assert_array_equal(got.X[:, 2], 0)
    np.testing.assert_allclose(got.X, naive.standardize(block), atol=1e-5)
    np.testing.assert_array_equal(got.apply({"a": block + 1})[:, 2], 0)


def test_one_row_is_constant():
    np.testing.assert_array_equal(stack_features({"a": [[1.0, 2.0]]}).X, [[0.0, 0.0]])


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint8", "int16", "uint16", "int32", "int64", "float16"]
)
def test_small_dtypes_are_promoted_before_arithmetic(dtype):
    block = np.random.default_rng(4).integers(0, 120, (30, 6)).astype(dtype)
    got = stack_features({"a": block})
    assert got.X.dtype == (np.float64 if dtype in ("int32", "int64") else np.float32)
    np.testing.assert_allclose(got.X, naive.standardize(block), rtol=0, atol=2e-6)
    raw = stack_features({"a": block}, standardize=False).X
    np.testing.assert_array_equal(raw, block.astype(raw.dtype))


def test_one_wide_block_makes_the_whole_float64():
    blocks = cohort(dtype="float32")
    blocks["age"] = blocks["age"].astype(np.float64)
    assert stack_features(blocks).X.dtype == np.float64
    np.testing.assert_allclose(stack_features(blocks).X, scikit_learn(blocks), atol=2e-6)


def test_images_are_flattened():
    images = np.random.default_rng(5).normal(size=(6, 2, 4, 5))
    got = stack_features({"ct": images}, standardize=False)
    np.testing.assert_array_equal(got.X, images.reshape(6, -1))


def test_without_standardizing_it_is_hstack():
    blocks = cohort()
    expected = np.hstack([b.reshape(len(b), -1) for b in blocks.values()])
    got = stack_features(blocks, standardize=False)
    np.testing.assert_array_equal(got.X, expected)
    np.testing.assert_array_equal(got.apply(blocks), expected)


@pytest.mark.parametrize("standardize", [True, False])
def test_weights_scale_their_block(standardize):
    blocks = cohort()
    plain = stack_features(blocks, standardize=standardize)
    got = stack_features(blocks, standardize=standardize, weights={"genes": 0.25})
    np.testing.assert_allclose(got.X[:, got.slices["genes"]], plain.X[:, 7:18] / 4, rtol=1e-15)
    np.testing.assert_array_equal(got.X[:, got.slices["ct"]], plain.X[:, :7])
    np.testing.assert_allclose(got.apply(blocks), got.X, rtol=1e-13, atol=1e-14)


def test_new_rows_take_the_statistics_of_the_first():
    blocks, new = cohort(), cohort(rows=9, seed=8)
    scalers = {n: StandardScaler().fit(b.reshape(len(b), -1)) for n, b in blocks.items()}
    expected = np.hstack([scalers[n].transform(b.reshape(len(b), -1)) for n, b in new.items()])
    got = stack_features(blocks).apply(dict(reversed(new.items())))
    np.testing.assert_allclose(got, expected, atol=1e-12)


def test_new_float32_rows_do_not_round_a_float64_fit():
    block = np.random.default_rng(9).normal(1e6, 1, (50, 3))
    block[0] += 0.3  # an origin that float32 cannot hold
    fitted = stack_features({"a": block})
    new = block.astype(np.float32)
    expected = (new.astype(np.float64) - block.mean(0)) / block.std(0)
    got = fitted.apply({"a": new})
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, expected, atol=1e-9)


def test_any_array_library(xp):
    blocks = cohort(rows=5 if xp.small else 200, dtype="float32")
    blocks["mask"] = (np.arange(len(blocks["age"]) * 3) % 5).reshape(-1, 3).astype(np.uint8)
    blocks["ct"][:, 1] = 7
    there = {name: xp.asarray(block) for name, block in blocks.items()}
    expected = np.hstack([naive.standardize(b) for b in blocks.values()])
    fitted = stack_features(there, weights={"age": 2.0})
    expected[:, 18] *= 2
    np.testing.assert_allclose(xp.asnumpy(fitted.X), expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(xp.asnumpy(fitted.apply(there)), expected, rtol=0, atol=1e-5)
    raw = xp.asnumpy(stack_features(there, standardize=False).X)
    np.testing.assert_array_equal(raw[:, 19:], blocks["mask"])


def test_large_means_in_any_array_library(xp):
    rows = 12 if xp.small else 300
    block = np.random.default_rng(2).normal(1e4, 1, (rows, 3)).astype(np.float32)
    got = xp.asnumpy(stack_features({"a": xp.asarray(block)}).X)
    np.testing.assert_allclose(got, naive.standardize(block), rtol=0, atol=1e-5)


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 3])
def test_bad_values_are_counted_and_placed(standardize, bad, row):
    blocks = cohort()
    blocks["genes"][row, 4] = blocks["genes"][20, 1] = bad
    message = (
        r"`blocks\['genes'\]` contains NaN or infinity: 2 of 440 values, "
        rf"the first at index \({row}, 4\)"
    )
    with pytest.raises(ValueError, match=message):
        stack_features(blocks, standardize=standardize)
    with pytest.raises(ValueError, match=message):
        stack_features(cohort(), standardize=standardize).apply(blocks)


def test_a_variance_out_of_range_is_an_error_and_no_nan():
    with pytest.raises(ValueError, match=r"`blocks\['a'\]` has a column whose variance float64"):
        stack_features({"a": np.array([1e200, -1e200, 0.0])})


@pytest.mark.parametrize(
    ("blocks", "options", "error", "message"),
    [
        ({}, {}, TypeError, "`blocks` must be a dict with at least one name and array"),
        ([np.eye(3)], {}, TypeError, "`blocks` must be a dict"),
        ({"a": None}, {}, TypeError, r"`blocks\['a'\]` must be an array, got None"),
        ({"a": 3.0}, {}, TypeError, r"`blocks\['a'\]` must be an array, got float"),
        ({"a": np.float64(3)}, {}, TypeError, r"`blocks\['a'\]` must be an array, got float64"),
        ({"a": np.array(3.0)}, {}, ValueError, r"must have shape \(rows, \.\.\.\)"),
        ({"a": np.ones((0, 3))}, {}, ValueError, r"none of them 0, got \(0, 3\)"),
        ({"a": np.ones((3, 0))}, {}, ValueError, r"none of them 0, got \(3, 0\)"),
        ({"a": ["x", "y"]}, {}, TypeError, r"`blocks\['a'\]` must hold real numbers"),
        ({"a": np.eye(3) * 1j}, {}, ValueError, "Complex data not supported"),
        ({"a": np.eye(3), "b": np.eye(4)}, {}, ValueError, r"one number of rows, got \{'a': 3, "),
        ({"a": np.eye(3)}, {"weights": {"b": 1}}, ValueError, r"`weights` must name blocks"),
        ({"a": np.eye(3)}, {"weights": {"a": 0}}, ValueError, r"`weights\['a'\]` must be"),
        ({"a": np.eye(3)}, {"weights": {"a": np.nan}}, ValueError, r"`weights\['a'\]` must be"),
        ({"a": np.eye(3)}, {"weights": [1.0]}, TypeError, "`weights` must be a dict of numbers"),
    ],
)
def test_wrong_arguments_are_named(blocks, options, error, message):
    with pytest.raises(error, match=message):
        stack_features(blocks, **options)


@pytest.mark.parametrize(
    ("blocks", "error", "message"),
    [
        ({"a": np.eye(3)}, ValueError, r"`blocks` must be \['a', 'b'\], got \['a'\]"),
        ({"a": np.eye(3), "b": np.ones((3, 5))}, ValueError, "must have 2 features, got 5"),
        ([np.eye(3)], TypeError, "`blocks` must be a dict of arrays, got list"),
    ],
)
def test_new_rows_must_fit(blocks, error, message):
    fitted = stack_features({"a": np.eye(3), "b": np.ones((3, 2))})
    with pytest.raises(error, match=message):
        fitted.apply(blocks)


def lying(kind, blocks, path):
    made = {}
    for name, block in blocks.items():
        (path / name).mkdir()
        made[name] = on_disk(kind, block, path / name)
    return made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("standardize", [True, False])
def test_blocks_on_disk_give_the_same_columns(kind, standardize, tmp_path):
    blocks = cohort(60, "float32")
    blocks["genes"] = blocks["genes"].astype("float64") + 1e4
    blocks["ct"][:, 3] = 7.7
    disk = lying(kind, blocks, tmp_path)
    disk["age"] = blocks["age"]  # in memory beside them
    how = {"standardize": standardize, "weights": {"genes": 0.5}}
    expected = stack_features(blocks, **how)
    lowest = least(lambda limit: stack_features(disk, memory_limit=limit, **how))
    for limit in (None, lowest, 2 * lowest, "1GB"):
        if limit is None and kind == "memmap":
            continue  # an array in memory, as NumPy has it
        found = stack_features(disk, memory_limit=limit, **how)
        assert found.slices == expected.slices
        assert found.X.dtype == expected.X.dtype
        np.testing.assert_allclose(found.X, expected.X, rtol=1e-9, atol=1e-12)
        for name in ("origin", "shift", "factor"):
            one, other = getattr(found, name), getattr(expected, name)
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    assert not standardize or (found.X[:, 3] == 0).all()
    new = lying(kind, cohort(31, "float32", seed=5), tmp_path / "ct")
    told = cohort(31, "float32", seed=5)
    out = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", "f8", (31, 19))
    assert expected.apply(new, memory_limit=5 * lowest, out=out) is out
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected.apply(told), rtol=1e-9)


def test_a_stack_of_blocks_on_disk_stays_within_its_limit(tmp_path):
    rng = np.random.default_rng(0)
    blocks = {name: rng.normal(size=(400, 900)).astype("f4") for name in ("a", "b")}
    disk = lying("sliced", blocks, tmp_path)
    out = np.empty((400, 1800), "f4")
    lowest = least(lambda limit: stack_features(disk, memory_limit=limit, out=out))
    assert lowest < 250_000
    found, held = peak(lambda: stack_features(disk, memory_limit=500_000, out=out))
    assert found.X is out
    assert held <= 1.3 * 500_000
    assert max(block.most for block in disk.values()) < 40
    np.testing.assert_allclose(out, scikit_learn(blocks), rtol=0, atol=2e-6)


def test_faults_of_blocks_on_disk_are_told_as_in_memory(tmp_path):
    blocks = cohort(50)
    blocks["genes"][33, 4] = np.nan
    disk = lying("sliced", blocks, tmp_path)
    for standardize in (True, False):
        with pytest.raises(ValueError, match=r"`blocks\['genes'\]` .*the first at index \(33, 4\)"):
            stack_features(disk, standardize=standardize, memory_limit="12kB")
    good = stack_features(cohort(50))
    with pytest.raises(ValueError, match=r"the first at index \(33, 4\)"):
        good.apply(disk, memory_limit="20kB")
    with pytest.raises(ValueError, match="one number of rows"):
        stack_features({**disk, "age": np.zeros(3)})
    with pytest.raises(ValueError, match="must have 7 features, got 11"):
        good.apply({**disk, "ct": disk["genes"]})
    wide = np.zeros((50, 19))
    with pytest.raises(ValueError, match="must not share memory"):
        stack_features({"x": np.ones((50, 1)), "y": wide[:, 1:]}, out=wide)
    with pytest.raises(ValueError, match="whose variance float64 cannot hold"):
        stack_features({"x": np.array([[1e200], [-1e200]])}, memory_limit="1MB")
