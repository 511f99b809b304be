"""Ridge takes any dtype, layout and library of arrays, and leaves the data where they are."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
from drawing import weights
from ridge_by_definition import ALPHAS, SHAPES, cohort, naive_ridge

from fastmm import Ridge, RidgeCV
from fastmm.solve.ridge import design


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int8", "uint16", "int64", "?"])
def test_dtypes(dtype):
    rng = np.random.default_rng(6)
    X, y = rng.integers(0, 100, (30, 5)).astype(dtype), rng.normal(size=30)
    coef, intercept = naive_ridge(X.astype(float), y, 1.0)
    found = Ridge().fit(X, y).predict(X)
    assert found.dtype == (np.float64 if dtype in ("float64", "int64") else np.float32)
    np.testing.assert_allclose(found, X.astype(float) @ coef + intercept, atol=1e-6)


@pytest.mark.parametrize(
    "layout", ["fortran", "strided", "negative", "readonly", "memmap", "swapped"]
)
def test_layouts(layout, tmp_path):
    X, y, groups = cohort(30, 6)
    expected = RidgeCV(ALPHAS).fit(X, y, groups=groups)
    original = X.copy()
    if layout == "fortran":
        X = np.asfortranarray(X)
    elif layout == "strided":
        X = X.repeat(2, 0).repeat(3, 1)[::2, ::3]
    elif layout == "negative":
        X = X[::-1, ::-1].copy()[::-1, ::-1]
    elif layout == "memmap":
        np.save(tmp_path / "X.npy", X)
        X = np.load(tmp_path / "X.npy", mmap_mode="r")
    elif layout == "swapped":
        X = X.astype(X.dtype.newbyteorder())
    else:
        X.flags.writeable = y.flags.writeable = False
    model = RidgeCV(ALPHAS).fit(X, y, groups=groups)
    np.testing.assert_array_equal(X, original)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-12)
    np.testing.assert_allclose(model.cv_predictions_, expected.cv_predictions_, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weighting", ["none", "zeros"])
def test_work_in_pieces_gives_the_same(shape, weighting, monkeypatch):
    X, y, groups = cohort(*shape, targets=2)
    weight = weights(weighting, len(X))
    whole = RidgeCV(ALPHAS).fit(X, y, weight, groups), Ridge(0.3).fit(X, y, weight)
    expected = whole[1].predict(X)
    monkeypatch.setattr(design, "_PIECE", 100)
    pieces = RidgeCV(ALPHAS).fit(X, y, weight, groups), Ridge(0.3).fit(X, y, weight)
    for one, other in zip(whole, pieces, strict=True):
        np.testing.assert_allclose(other.coef_, one.coef_, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(pieces[0].cv_predictions_, whole[0].cv_predictions_, rtol=1e-9)
    np.testing.assert_allclose(pieces[1].predict(X), expected, rtol=1e-12)


def test_shapes_and_solvers():
    X, y, _ = cohort(30, 6)
    model = Ridge().fit(X, y)
    assert (model.coef_.shape, type(model.intercept_)) == ((6,), float)
    assert model.solver_ == RidgeCV().fit(X, y).solver_ == "primal"
    model = Ridge().fit(X, y[:, None])
    assert (model.coef_.shape, model.intercept_.shape) == ((1, 6), (1,))
    assert model.predict(X).shape == (30, 1)
    model = RidgeCV().fit(X[:5], np.stack([y, -y], 1)[:5])
    assert model.solver_ == "dual"
    assert model.cv_predictions_.shape == (5, 2)
    assert Ridge(fit_intercept=False).fit(X, y).intercept_ == 0.0
    np.testing.assert_allclose(Ridge().fit(X[:1], y[:1]).predict(X), np.full(30, y[0]))


def test_the_same_input_gives_the_same_bits():
    X, y, groups = cohort(50, 20)
    one, two = (RidgeCV(ALPHAS).fit(X, y, groups=groups) for _ in range(2))
    assert one.coef_.tobytes() == two.coef_.tobytes()
    assert one.cv_predictions_.tobytes() == two.cv_predictions_.tobytes()
    assert pickle.loads(pickle.dumps(one)).predict(X).tobytes() == one.predict(X).tobytes()


class Guest:
    """An array of some other library, as DLPack shows it."""

    def __init__(self, array):
        self.array = np.asarray(array)

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __array_namespace__(self):
        return type("namespace", (), {"from_dlpack": staticmethod(Guest)})


def test_guests_leave_as_what_they_came_as():
    X, y, _ = cohort(30, 6)
    model = RidgeCV().fit(Guest(X), Guest(y), groups=Guest(np.arange(30) // 3))
    found = model.predict(Guest(X))
    assert isinstance(found, Guest)
    np.testing.assert_array_equal(found.array, model.predict(X))
    expected = RidgeCV().fit(X, y, groups=np.arange(30) // 3)
    np.testing.assert_array_equal(model.cv_predictions_, expected.cv_predictions_)


def test_data_do_not_move_between_devices(xp_any):
    X, y, _ = cohort(30, 6)
    model = Ridge().fit(xp_any.asarray(X), xp_any.asarray(y))
    if xp_any.name == "numpy":
        assert isinstance(model.coef_, np.ndarray)
        return
    with pytest.raises(TypeError, match="lives on"):
        model.predict(X)
    with pytest.raises(TypeError, match="lives on"):
        Ridge().fit(xp_any.asarray(X), y)


def test_numpy_data_import_no_cupy():
    code = (
        "import sys, fastmm; fastmm.RidgeCV().fit([[0.], [1.], [3.]], [1., 2., 3.]); "
        "sys.exit('cupy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
