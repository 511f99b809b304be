"""Groups and folds: whole, balanced, numbered; and what is predicted of those left out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, KFold, LeaveOneGroupOut

from fastmm._space import Space
from fastmm.solve.grouped import encode_groups, fold_shares, make_folds
from fastmm.solve.held_out import held_out_predictions, held_out_residuals

NAMES = ["p7", "p1", "p7", "p3", "p1", "p1"]


@pytest.mark.parametrize(
    "groups",
    [
        NAMES,
        np.array(NAMES, dtype=object),
        np.array([7, 1, 7, 3, 1, 1], np.int8),
        np.array([0.7, 0.1, 0.7, 0.3, 0.1, 0.1]),
        [7, "p1", 7, (3,), "p1", "p1"],
    ],
    ids=["text", "object", "int8", "float", "mixed"],
)
def test_groups_are_numbered_in_order_of_appearance(groups):
    if isinstance(groups, list) and not isinstance(groups[0], str):
        mixed = np.empty(len(groups), object)
        mixed[:] = groups
        groups = mixed
    np.testing.assert_array_equal(encode_groups(groups, 6), [0, 1, 0, 2, 1, 1])


def test_batches_hold_each_row_once_and_whole_groups():
    groups = np.random.default_rng(0).integers(0, 9, 50)
    folds = make_folds(50, groups)
    rows = np.concatenate([batch.ravel() for batch in folds.batches])
    np.testing.assert_array_equal(np.sort(rows), np.arange(50))
    for batch in folds.batches:
        for row in batch:
            assert np.array_equal(row, np.flatnonzero(groups == groups[row[0]]))
    assert folds.n_folds == np.unique(groups).size


def test_leave_one_out_without_groups():
    folds = make_folds(4)
    assert [batch.shape for batch in folds.batches] == [(4, 1)]


def test_k_folds_keep_groups_whole_and_balance_rows():
    groups = np.repeat(np.arange(12), [9, 1, 1, 5, 5, 2, 2, 2, 3, 3, 4, 8])
    folds = make_folds(groups.size, groups, cv=3)
    for name in np.unique(groups):
        assert np.unique(folds.codes[groups == name]).size == 1
    assert np.bincount(folds.codes).tolist() == [15, 15, 15]
    np.testing.assert_array_equal(make_folds(groups.size, groups, cv=3).codes, folds.codes)


def test_k_folds_of_single_rows():
    np.testing.assert_array_equal(make_folds(7, cv=3).codes, [0, 1, 2, 0, 1, 2, 0])


@pytest.mark.parametrize("as_list", [False, True])
def test_splitters(as_list):
    groups = np.arange(20) // 3
    splitter = GroupKFold(3)
    cv = list(splitter.split(np.zeros(20), groups=groups)) if as_list else splitter
    folds = make_folds(20, groups, cv)
    for number, (_, test) in enumerate(splitter.split(np.zeros(20), groups=groups)):
        np.testing.assert_array_equal(np.flatnonzero(folds.codes == number), test)


def test_splits_as_masks():
    mask = np.array([True, False, False])
    splits = [(~np.roll(mask, i), np.roll(mask, i)) for i in range(3)]
    np.testing.assert_array_equal(make_folds(3, cv=splits).codes, [0, 1, 2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": ["a", "b"]}, "each of the 4 samples"),
        ({"groups": [[1], [2], [3], [4]]}, "each of the 4 samples"),
        ({"groups": ["a", "", "b", " "]}, "2 empty or missing of 4, the first at index 1"),
        ({"groups": np.array(["a", None, "b", np.nan], object)}, "2 empty or missing"),
        ({"groups": [1.0, 2.0, np.nan, 3.0]}, "1 empty or missing"),
        ({"groups": ["a"] * 4}, "at least 2 groups"),
        ({"weight": np.array([0.0, 0.0, 2.0, 0.0])}, "positive in at least 2 folds"),
        ({"groups": [1, 2, 2, 3], "weight": np.array([0, 1, 3, 0])}, "at least 2 folds"),
        ({"cv": 5}, "at most the number of groups, 4"),
        ({"cv": 1}, "`cv`"),
        ({"cv": KFold(2), "groups": [0, 1, 1, 2]}, "splits a group"),
        ({"cv": [([0, 1], [2, 3])]}, "test each row once"),
        ({"cv": [([0, 1, 2], [2, 3]), ([2, 3], [0, 1])]}, "split 0 does not"),
        ({"cv": [([0, 1], [2, 9]), ([2, 3], [0, 1])]}, "gives row 9"),
        ({"cv": [([0, 1], [2, -1]), ([2, 3], [0, 1])]}, "non-negative"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_folds(4, **arguments)


def test_cv_of_a_wrong_type():
    with pytest.raises(TypeError, match="`cv`"):
        make_folds(4, cv="3")
    with pytest.raises(TypeError, match="`cv`"):
        make_folds(4, cv=2.5)


def test_held_out_residuals_of_least_squares(xp_any):
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 2))
    groups = rng.integers(0, 8, 30)
    groups[:3] = [8, 9, 10]
    complement = np.eye(30) - X @ np.linalg.pinv(X)
    there = xp_any.asarray(complement)
    found = held_out_residuals(
        make_folds(30, groups),
        lambda rows: there[rows[:, :, None], rows[:, None, :]],
        xp_any.asarray(complement @ y),
        pytest.importorskip("cupy") if xp_any.name == "cupy" else np,
    )
    expected = np.empty_like(y)
    for train, test in LeaveOneGroupOut().split(X, groups=groups):
        coef = np.linalg.lstsq(X[train], y[train], rcond=None)[0]
        expected[test] = y[test] - X[test] @ coef
    np.testing.assert_allclose(xp_any.asnumpy(found), expected, atol=1e-11)


def test_rows_of_weight_0_see_the_fit_without_their_fold():
    rng = np.random.default_rng(2)
    X, y, groups = rng.normal(size=(12, 3)), rng.normal(size=(12, 2)), np.arange(12) // 3
    weight = rng.uniform(0.5, 2, 12)
    weight[[1, 7]] = 0
    root = np.sqrt(weight)
    pseudo = np.linalg.pinv(root[:, None] * X)
    residual, expected = np.zeros((12, 2)), np.empty((12, 2))
    for group in range(4):
        train = groups != group
        part = root[train, None]
        coef = np.linalg.lstsq(part * X[train], part * y[train], rcond=None)[0]
        expected[~train] = X[~train] @ coef
        residual[~train] = root[~train, None] * (y[~train] - expected[~train])
    found = held_out_predictions(
        make_folds(12, groups), y, residual, root, lambda rows: X[rows] @ pseudo, Space("cpu")
    )
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_shares_are_a_mean_of_fold_means():
    folds = make_folds(5, ["a", "b", "b", "b", "c"])
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert fold_shares(folds) @ values == pytest.approx((1 + 3 + 5) / 3)
    weight = np.array([2.0, 1.0, 0.0, 3.0, 0.0])
    assert fold_shares(folds, weight) @ values == pytest.approx((1 + 3.5) / 2)
