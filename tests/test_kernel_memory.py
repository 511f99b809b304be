"""Kernel machines under a memory limit: exact where that fits, told apart where it does not."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from harness import run_python
from sklearn import svm
from sklearn.base import clone

from fastmm import (
    LSSVC,
    LSSVCCV,
    SVC,
    KernelRidge,
    KernelRidgeCV,
    load_model,
    rbf_kernel,
    save_model,
)
from fastmm._space import Space
from fastmm.solve.kernel.exact import training_gram
from fastmm.solve.kernel.gram import KernelFunction
from fastmm.solve.kernel.system import KernelSystem
from fastmm.solve.svm.tiles import TiledKernel
from fastmm.validate.permutation import permutation_test

ALPHAS = (0.1, 1.0, 10.0)
MACHINES = {
    "KernelRidgeCV": KernelRidgeCV(ALPHAS, kernel="rbf", gamma=[0.05, 0.2], fit_intercept=True),
    "KernelRidgeCV-linear": KernelRidgeCV(ALPHAS, fit_intercept=True),
    "LSSVC": LSSVC(3.0),
    "LSSVC-linear": LSSVC(3.0, kernel="linear", class_weight="balanced"),
    "LSSVCCV": LSSVCCV(ALPHAS, gamma=[0.05, 0.2]),
    "SVC": SVC(3.0),
}


class Sliced:
    """What h5py gives: shape, dtype and slices, nothing else."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, key):
        assert all(isinstance(each, slice) for each in key)
        return self.array[key]


def lazy(kind, X, tmp_path):
    if kind == "memmap":
        np.save(tmp_path / "X.npy", X)
        return np.load(tmp_path / "X.npy", mmap_mode="r")
    if kind == "zarr":
        zarr = pytest.importorskip("zarr", reason="zarr is not installed")
        made = zarr.create_array(tmp_path / "X.zarr", shape=X.shape, dtype=X.dtype, chunks=(40, 4))
        made[:] = X
        return made
    if kind == "dask":
        da = pytest.importorskip("dask.array", reason="dask is not installed")
        return da.from_array(X, chunks=(97, 3))
    return Sliced(X)


def cohort(n=160, d=6, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    y = np.sin(2 * X[:, 0]) + X[:, 1] + 0.3 * rng.normal(size=n)
    return X, y, np.digitize(y, [-0.7, 0.7]), rng.uniform(0, 2, n), np.arange(n) // 5


def same(one, two, X, atol=1e-10):
    held_out = "cv_decision_" if hasattr(one, "cv_decision_") else "cv_predictions_"
    names = [held_out] + [name for name in ("cv_scores_",) if hasattr(one, name)]
    for name in names:
        found, expected = getattr(one, name), getattr(two, name)
        np.testing.assert_allclose(found, expected, rtol=0, atol=atol, err_msg=name)
    for name in ("alpha_", "C_", "classes_", "gamma_"):
        if hasattr(one, name):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    values = [m.decision_function if hasattr(m, "decision_function") else m.predict
              for m in (one, two)]  # fmt: skip
    np.testing.assert_allclose(values[0](X), values[1](X), rtol=0, atol=atol)


def fitted(name, model, X, cohort_of, **options):
    _, y, labels, weight, groups = cohort_of
    return (
        clone(model).set_params(**options).fit(X, y if "Ridge" in name else labels, weight, groups)
    )


SOURCES = [(name, kind) for name in MACHINES for kind in ("memmap", "dask")]


@pytest.mark.parametrize(("name", "kind"), [*SOURCES, ("LSSVC", "zarr"), ("SVC", "sliced")])
def test_what_fits_is_exact_from_every_source(name, kind, tmp_path):
    given = cohort()
    rows = lazy(kind, given[0], tmp_path)
    limit = {} if kind == "dask" else {"memory_limit": "10MB"}
    found = fitted(name, MACHINES[name], rows, given, **limit)
    expected = fitted(name, MACHINES[name], given[0], given)
    same(found, expected, given[0])
    assert getattr(found, "solver_", "direct") == "direct"
    assert found.memory_limit == limit.get("memory_limit")
    lines = found.predict(rows)
    np.testing.assert_allclose(np.asarray(lines), expected.predict(given[0]), atol=1e-10)


@pytest.mark.parametrize("name", [name for name in MACHINES if name != "SVC"])
def test_centres_that_are_all_rows_are_exact_too(name, tmp_path):
    given = cohort()
    options = {"solver": "nystrom", "n_components": 160}
    expected = fitted(name, MACHINES[name], given[0], given)
    for rows, limit in ((given[0], None), (lazy("memmap", given[0], tmp_path), "4MB")):
        found = fitted(name, MACHINES[name], rows, given, memory_limit=limit, **options)
        assert found.solver_ == "nystrom"
        assert found.component_indices_.shape == (160,)
        same(found, expected, given[0], atol=1e-6)
        assert getattr(found, "residual_", 0.0) < 1e-10


def test_few_centres_are_those_of_kernel_ridge_and_of_refits(tmp_path):
    X, y, labels, weight, groups = cohort()
    few = {"solver": "nystrom", "n_components": 20, "gamma": 0.1, "kernel": "rbf"}
    found = KernelRidgeCV([0.5], fit_intercept=True, **few).fit(X, y, weight, groups)
    one = KernelRidge(0.5, fit_intercept=True, tol=1e-12, **few).fit(X, y, weight, groups)
    np.testing.assert_array_equal(found.component_indices_, one.component_indices_)
    np.testing.assert_allclose(found.cv_predictions_, one.cv_predictions_, atol=1e-7)
    np.testing.assert_allclose(found.predict(X), one.predict(X), atol=1e-7)
    binary = labels > 0
    machine = LSSVC(2.0, **few).fit(X, binary, weight, groups)
    signs = np.where(binary, 1.0, -1.0)
    ridge = KernelRidge(0.5, fit_intercept=True, tol=1e-12, **few).fit(X, signs, weight, groups)
    np.testing.assert_allclose(machine.cv_decision_, ridge.cv_predictions_, atol=1e-7)
    np.testing.assert_allclose(machine.decision_function(X), ridge.predict(X), atol=1e-7)
    plain = LSSVC(2.0, **few).fit(X, binary, weight)
    np.testing.assert_allclose(plain.decision_function(X), ridge.predict(X), atol=1e-7)
    save_model(machine, tmp_path / "model.fastmm")
    again = load_model(tmp_path / "model.fastmm")
    np.testing.assert_array_equal(again.decision_function(X), machine.decision_function(X))


@pytest.mark.parametrize("name", ["KernelRidgeCV", "LSSVC", "LSSVCCV"])
def test_what_does_not_fit_is_approximated_aloud_or_refused(name, tmp_path):
    given = cohort()
    rows = lazy("memmap", given[0], tmp_path)
    few = {"n_components": 10, "memory_limit": "300kB"}
    with pytest.warns(UserWarning, match=r"takes .*B, and may take 300kB: it is approximated"):
        found = fitted(name, MACHINES[name], rows, given, **few)
    assert found.solver_ == "nystrom"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asked = fitted(name, MACHINES[name], rows, given, solver="nystrom", **few)
    same(found, asked, given[0], atol=0)
    with pytest.raises(ValueError, match=r"whole kernel matrix, .*B .*Raise `memory_limit`.*nys"):
        fitted(name, MACHINES[name], rows, given, solver="direct", **few)


def test_wrong_arguments_are_refused(tmp_path):
    X, y, labels, _, _ = cohort()
    rows = lazy("memmap", X, tmp_path)
    with pytest.raises(ValueError, match='"precomputed"'):
        LSSVC(kernel="precomputed", solver="nystrom").fit(X @ X.T, labels)
    with pytest.raises(ValueError, match=r"Raise `memory_limit`\.$"):
        LSSVC(kernel="precomputed", memory_limit="100kB").fit(X @ X.T, labels)
    with pytest.raises(ValueError, match='`solver` must not be "nystrom"'):
        permutation_test(LSSVC(solver="nystrom"), X, labels > 0, n_permutations=9)
    with pytest.raises(ValueError, match="`solver` must be one of"):
        LSSVCCV(solver="cg").fit(X, labels)
    with pytest.raises(ValueError, match="`alphas` must be greater than 0"):
        KernelRidgeCV((0.0, 1.0), solver="nystrom").fit(X, y)
    with pytest.raises(ValueError, match="`n_components` 100 need"):
        LSSVC(memory_limit="300kB", solver="nystrom", n_components=100).fit(rows, labels)
    with pytest.raises(ValueError, match=r"SVC of 160 rows needs .* take `NystromFeatures`"):
        SVC(memory_limit="30kB").fit(rows, labels)
    spoiled = X.copy()
    spoiled[117, 3] = np.nan
    for model in (LSSVC(), SVC(), LSSVCCV(), KernelRidgeCV(kernel="rbf"), KernelRidge()):
        with pytest.raises(ValueError, match=r"NaN or infinity.*\(117, 3\)"):
            model.set_params(memory_limit="10MB").fit(lazy("sliced", spoiled, tmp_path), labels)


def test_less_memory_than_an_eigendecomposition_needs_takes_cholesky(monkeypatch):
    X, y, labels, weight, groups = cohort()
    alphas = np.logspace(-1, 1, 9)
    expected = KernelRidgeCV(alphas, kernel="rbf").fit(X, y, weight, groups)
    machine = LSSVCCV(alphas).fit(X, labels, weight, groups)
    monkeypatch.setattr(np.linalg, "eigh", lambda *_: pytest.fail("diagonalised"))
    found = KernelRidgeCV(alphas, kernel="rbf", memory_limit="900kB").fit(X, y, weight, groups)
    same(found, expected, X)
    same(LSSVCCV(alphas, memory_limit="900kB").fit(X, labels, weight, groups), machine, X)
    line = np.arange(160.0)[:, None] @ np.ones((1, 160)) * 0
    system = KernelSystem(line, y[:, None], None, False, Space("cpu"), may_diagonalise=False)
    with pytest.raises(ValueError, match=r"eigendecomposition of 160 rows takes 1\.23MB"):
        system.rank()


def test_the_smallest_penalty_is_exact_only_with_an_eigendecomposition():
    X, y, _, _, groups = cohort()
    for limit, solver in (("5MB", "direct"), ("900kB", "direct")):
        model = KernelRidgeCV((0.0, 1.0), kernel="rbf", memory_limit=limit, solver=solver)
        if limit == "5MB":
            expected = KernelRidgeCV((0.0, 1.0), kernel="rbf").fit(X, y, groups=groups)
            same(model.fit(X, y, groups=groups), expected, X)
        else:
            with pytest.raises(ValueError, match="whole kernel matrix"):
                model.fit(X, y, groups=groups)


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "poly", "linear", "arccos"])
def test_a_kernel_in_tiles_is_the_kernel(kernel):
    from fastmm.grams.arc import arccos_layers

    X = np.random.default_rng(0).normal(size=(150, 4)) + 2
    options = arccos_layers(1, 1) if kernel == "arccos" else None
    function = KernelFunction(kernel, 0.2, options=options)
    whole = function.training(X, np)
    tiles = training_gram(function, X, Space("cpu"), 1)
    np.testing.assert_allclose(tiles, whole, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(tiles, tiles.T)


def test_a_support_vector_machine_in_tiles_keeps_no_row(monkeypatch):
    """Few rows lie within the margin of classes well apart; scikit-learn is the oracle."""
    n, rng = 1600, np.random.default_rng(0)
    X = rng.normal(size=(n, 2))
    labels = X[:, 0] + 0.02 * rng.normal(size=n) > 0
    seen = []
    check = TiledKernel.check
    monkeypatch.setattr(TiledKernel, "check", lambda self, n: (seen.append(n), check(self, n)))
    found = SVC(10.0, tol=1e-8, memory_limit="16MB").fit(X, labels, groups=np.arange(n) // 400)
    whole = SVC(10.0, tol=1e-8).fit(X, labels, groups=np.arange(n) // 400)
    assert 0 < max(seen) < 750
    np.testing.assert_allclose(found.decision_function(X), whole.decision_function(X), atol=1e-6)
    np.testing.assert_allclose(found.cv_decision_, whole.cv_decision_, atol=1e-6)
    gram = rbf_kernel(X, gamma=found.gamma_)
    theirs = svm.SVC(C=1e8, kernel="precomputed", tol=1e-8)
    theirs.fit(gram + np.eye(n) / 20, labels)
    expected = gram[:, theirs.support_] @ theirs.dual_coef_[0] + theirs.intercept_
    size = abs(expected).max()
    np.testing.assert_allclose(found.decision_function(X), expected, atol=1e-4 * size)
    with pytest.raises(ValueError, match="rows lie within the margin"):
        SVC(1e-3, memory_limit="2MB").fit(X, rng.random(n) > 0.5)


TAKEN = [  # rows, columns and the limit in MB
    ("LSSVC(solver='direct')", 1200, 20, 38),
    ("LSSVC(solver='direct')", 400, 6000, 36),
    ("LSSVCCV([1, 10], solver='direct', class_weight='balanced', cv=4)", 1200, 20, 44),
    ("KernelRidgeCV(list(range(1, 7)), kernel='rbf', solver='direct', cv=4)", 1000, 20, 27),
    ("LSSVCCV([1, 10], n_components=100, solver='nystrom', cv=4)", 8000, 20, 16),
    ("KernelRidgeCV([1, 10], n_components=100, kernel='rbf', solver='nystrom')", 8000, 20, 16),
    ("SVC(10.0)", 2000, 2, 30),
]


def test_no_more_is_taken_than_is_allowed(tmp_path):
    """Peaks of resident memory of one process, each from what was resident before."""
    code = f"""
    import numpy as np
    from fastmm import KernelRidgeCV, LSSVC, LSSVCCV, SVC
    def resident(name):
        with open("/proc/self/status") as file:
            return next(int(l.split()[1]) * 1024 for l in file if l.startswith(name))
    def took(model, n, d, limit):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(n, d)).astype(np.float32)
        y, groups = (X[:, 0] + 0.2 * X[:, 1] > 0) * 1, np.arange(n) // 4
        groups = None if isinstance(model, SVC) else groups
        np.save({str(tmp_path / "X.npy")!r}, X)
        del X
        X = np.load({str(tmp_path / "X.npy")!r}, mmap_mode="r")
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")                                        # the peak starts anew
        before = resident("VmRSS")
        model.set_params(memory_limit=int(limit)).fit(X, y, groups=groups)
        return resident("VmHWM") - before
    for model, n, d, limit in {TAKEN!r}:
        took(eval(model), 100, 20, 1e8)                            # imports
        print("took", took(eval(model), n, d, limit * 1e6) / (limit * 1e6))
    """
    try:
        with open("/proc/self/clear_refs", "w") as file:  # noqa: PTH123
            file.write("5")
    except OSError:
        pytest.skip("this system does not tell the peak of resident memory")
    found = run_python(code, OPENBLAS_NUM_THREADS="1", MALLOC_TRIM_THRESHOLD_="65536")
    shares = [float(line.split()[1]) for line in found.splitlines()]
    assert len(shares) == len(TAKEN)
    assert max(shares) < 1.3, shares
