"""Ridge from sums of pieces: any pieces and order give the same, and no digits are lost."""

from __future__ import annotations

import numpy as np
import pytest
from ridge_by_definition import naive_ridge
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import NotFittedError

from fastmm import Ridge, load_model, save_model
from fastmm.solve.ridge import design, sufficient
from fastmm.solve.ridge.normal import solve_normal
from fastmm.solve.ridge.sufficient import SufficientStatistics


def rows(n=300, d=12, targets=None, mean=0.0, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * rng.uniform(0.3, 3, d) + mean
    y = X @ rng.normal(size=(d, targets or 1)) + rng.normal(size=(n, targets or 1)) + 4
    return X, y if targets else y[:, 0], rng.uniform(0, 2, n)


def chunks(n, seed):
    rng = np.random.default_rng(seed)
    cuts = np.sort(rng.choice(np.arange(1, n), rng.integers(1, 12), replace=False))
    return np.split(rng.permutation(n), cuts)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("targets", [None, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_rows_in_any_pieces_and_order_give_the_same(xp_any, weighted, targets, fit_intercept):
    X, y, weight = rows(targets=targets)
    expected = naive_ridge(X, y, 2.0, fit_intercept, weight if weighted else None)
    for seed in range(8):
        model = Ridge(2.0, fit_intercept=fit_intercept)
        for part in chunks(len(X), seed):
            some = xp_any.asarray(weight[part]) if weighted else None
            model.partial_fit(xp_any.asarray(X[part]), xp_any.asarray(y[part]), some)
        np.testing.assert_allclose(xp_any.asnumpy(model.coef_), expected[0], rtol=1e-10)
        found = model.intercept_
        found = found if isinstance(found, float) else xp_any.asnumpy(found)
        np.testing.assert_allclose(found, expected[1], rtol=1e-10, atol=1e-10)
        assert model.solver_ == "primal"
        assert model.residual_ < 1e-14
        predictions = xp_any.asnumpy(model.predict(xp_any.asarray(X)))
        np.testing.assert_allclose(predictions, X @ expected[0].T + expected[1], rtol=1e-9)


def test_workers_are_merged_in_any_order():
    X, y, weight = rows(targets=2)
    whole = Ridge(0.5).fit(X, y, weight)
    for seed in range(8):
        parts = chunks(len(X), seed)
        workers = [Ridge(0.5).partial_fit(X[p], y[p], weight[p]) for p in parts]
        before = [worker.coef_.copy() for worker in workers]
        while len(workers) > 1:
            one = workers.pop(0)
            workers.append(one.merge(workers.pop(0)))
        assert len(before) == len(parts)
        np.testing.assert_allclose(workers[0].coef_, whole.coef_, rtol=1e-10)
        np.testing.assert_allclose(workers[0].intercept_, whole.intercept_, rtol=1e-10)


def test_sums_of_workers_add_without_changing_them():
    X, y, weight = rows()
    halves = [
        SufficientStatistics().add(X[part], y[part], weight[part])
        for part in (slice(0, 100), slice(100, None))
    ]
    states = [{name: np.copy(value) for name, value in half.state().items()} for half in halves]
    both, nothing = halves[0] + halves[1], SufficientStatistics()
    for half, state in zip(halves, states, strict=True):
        for name, value in half.state().items():
            np.testing.assert_array_equal(value, state[name])
    centred = X - np.average(X, 0, weight)
    np.testing.assert_allclose(both.xx, (weight * centred.T) @ centred, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(
        both.yy, [weight @ (y - np.average(y, weights=weight)) ** 2], rtol=1e-12
    )
    np.testing.assert_array_equal((both + nothing).xx, both.xx)
    np.testing.assert_array_equal((nothing + both).xx, both.xx)
    assert both.weight == pytest.approx(weight.sum(), rel=1e-14)
    model = Ridge().partial_fit(X[:100], y[:100], weight[:100]).merge(halves[1])
    np.testing.assert_allclose(model.coef_, Ridge().fit(X, y, weight).coef_, rtol=1e-10)


@pytest.mark.parametrize("size", [7, 100, 2000])
def test_a_mean_of_1e4_in_float32_costs_no_digits(xp_any, size):
    X, y, _ = rows(2000, 30, mean=1e4)
    X, y = X.astype(np.float32), (y - y.mean()).astype(np.float32)
    model = Ridge()
    for start in range(0, 2000, size):
        part = slice(start, start + size)
        model.partial_fit(xp_any.asarray(X[part]), xp_any.asarray(y[part]))
    wide = X.astype(np.float64)
    U, s, Vt = np.linalg.svd(wide - wide.mean(0), full_matrices=False)
    coef = Vt.T @ (s / (s**2 + 1.0) * (U.T @ (y - y.mean(dtype=float))))
    np.testing.assert_allclose(xp_any.asnumpy(model.coef_), coef, rtol=1e-9)


def test_sorted_rows_and_a_drifting_mean():
    X, y, _ = rows(1000, 5)
    order = np.argsort(X[:, 0])
    X[:, 1] += 1e6 * np.arange(1000)[np.argsort(order)]
    model = Ridge(3.0)
    for part in np.split(order, 50):
        model.partial_fit(X[part], y[part])
    coef, intercept = naive_ridge(X, y, 3.0)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-7)
    assert model.intercept_ == pytest.approx(intercept, rel=1e-8)


def test_penalties_of_targets_and_blocks():
    X, y, _ = rows(targets=6)
    alphas = np.array([0.1, 3.0, 3.0, 40.0, 7.0, 9.0])
    for targets in (2, 6):  # by Cholesky, and by one eigendecomposition
        model = Ridge(alphas[:targets])
        for part in chunks(300, 1):
            model.partial_fit(X[part], y[part, :targets])
        expected = [naive_ridge(X, y[:, t], alphas[t])[0] for t in range(targets)]
        np.testing.assert_allclose(model.coef_, expected, rtol=1e-9)
    blocks = {"ct": slice(0, 7), "table": slice(7, 12)}
    model = Ridge({"ct": 0.3, "table": 20.0}, blocks=blocks)
    for part in chunks(300, 2):
        model.partial_fit(X[part], y[part])
    np.testing.assert_allclose(
        model.coef_,
        Ridge({"ct": 0.3, "table": 20.0}, blocks=blocks).fit(X, y).coef_,
        rtol=1e-9,
    )


def test_fewer_rows_than_features_and_alpha_0():
    X, y, _ = rows(20, 40)
    model = Ridge(0.7)
    for part in chunks(20, 3):
        model.partial_fit(X[part], y[part])
    np.testing.assert_allclose(model.coef_, naive_ridge(X, y, 0.7)[0], rtol=1e-9)
    X, y, _ = rows(200, 6)
    X = np.hstack([X, X[:, :2], np.full((200, 1), 0.1)])
    model = Ridge(0.0)
    with pytest.warns(LinAlgWarning, match="rank 6 for 9 features"):
        model.partial_fit(X, y)
    coef, intercept = naive_ridge(X, y, 0.0)
    np.testing.assert_allclose(model.coef_, coef, atol=1e-10)
    assert model.intercept_ == pytest.approx(intercept, rel=1e-10)


def test_columns_of_different_scales_keep_their_digits():
    X, y, _ = rows(200, 6)
    scale = np.array([1e-9, 1e9, 1.0, 1e-4, 1e5, 1.0])
    found = Ridge(0.0).partial_fit(X * scale, y)
    np.testing.assert_allclose(found.coef_ * scale, naive_ridge(X, y, 0.0)[0], rtol=1e-9)


def test_a_condition_that_costs_the_digits_is_told():
    rng = np.random.default_rng(0)
    left, right = (
        np.linalg.qr(rng.normal(size=(50, 5)))[0],
        np.linalg.qr(rng.normal(size=(5, 5)))[0],
    )
    X = left * np.array([1.0, 1.0, 1.0, 1.0, 3e-6]) @ right
    with pytest.warns(LinAlgWarning, match="condition number 1e[+]11"):
        Ridge(0.0, fit_intercept=False).partial_fit(X, rng.normal(size=50))


def test_the_same_pieces_give_the_same_bits_in_any_layout():
    X, y, weight = rows()
    one = Ridge().partial_fit(X, y, weight)
    two = Ridge().partial_fit(np.asfortranarray(X), y, weight)
    assert one.coef_.tobytes() == two.coef_.tobytes()
    assert (one.statistics_["xx"] == one.statistics_["xx"].T).all()


def test_work_in_pieces_gives_the_same(monkeypatch):
    X, y, weight = rows()
    whole = Ridge().partial_fit(X, y, weight).coef_
    monkeypatch.setattr(design, "_PIECE", 100)
    np.testing.assert_allclose(Ridge().partial_fit(X, y, weight).coef_, whole, rtol=1e-12)


def test_a_saved_model_learns_on(tmp_path):
    X, y, _ = rows()
    file = save_model(Ridge(0.5).partial_fit(X[:100], y[:100]), tmp_path / "half.fastmm")
    model = load_model(file).partial_fit(X[100:], y[100:])
    np.testing.assert_allclose(model.coef_, Ridge(0.5).fit(X, y).coef_, rtol=1e-10)


def test_fit_starts_anew():
    X, y, _ = rows()
    model = Ridge().partial_fit(X, y).fit(X[:50], y[:50])
    assert not hasattr(model, "statistics_")
    np.testing.assert_array_equal(model.coef_, Ridge().fit(X[:50], y[:50]).coef_)
    with pytest.raises(ValueError, match="cannot go on after `fit`"):
        model.partial_fit(X, y)


def test_what_is_refused(monkeypatch):
    X, y, _ = rows()
    model = Ridge().partial_fit(X, y)
    before = model.coef_
    for bad, match in [
        ((X[:, :3], y), "X has 3 features, but Ridge is expecting 12 features"),
        ((X, np.stack([y, y], 1)), "12 features and 1 targets, got 12 and 2"),
        ((X, np.where(np.arange(300) == 7, np.nan, y)), "`y` contains NaN or infinity: 1 of 300"),
        ((X, y, -np.ones(300)), "`sample_weight` must not be negative"),
    ]:
        with pytest.raises(ValueError, match=match):
            model.partial_fit(*bad)
        assert model.coef_ is before
        assert model.n_features_in_ == 12
    for solver in ("dual", "svd", "iterative"):
        with pytest.raises(ValueError, match='`solver` must be "auto" or "primal"'):
            Ridge(solver=solver).partial_fit(X, y)
    with pytest.raises(ValueError, match='`solver` must be one of "auto", "primal"'):
        Ridge(solver="qr").partial_fit(X, y)
    with pytest.raises(ValueError, match="`alpha` must be a finite number of at least 0, got -1"):
        Ridge(-1.0).partial_fit(X, y)
    with pytest.raises(NotFittedError):
        model.merge(Ridge())
    with pytest.raises(NotFittedError):
        Ridge().merge(model)
    with pytest.raises(TypeError, match="`other` must be a Ridge or SufficientStatistics, got int"):
        model.merge(3)
    with pytest.raises(ValueError, match="12 features and 1 targets, got 3 and 1"):
        model.merge(Ridge().partial_fit(X[:, :3], y))
    with pytest.raises(ValueError, match="`X` must have shape"):
        SufficientStatistics().add(X, y[:5])
    with pytest.raises(ValueError, match="overflow float64"), np.errstate(over="ignore"):
        model.partial_fit(X, y * 1e200)
    monkeypatch.setattr(sufficient, "memory_limit", lambda space: 3000)
    with pytest.raises(ValueError, match=r"sums over 12 features would need 0\.0 GB"):
        Ridge().partial_fit(X, y)


def test_names_of_features_must_agree():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    X, y, _ = rows(50, 2)
    one = Ridge().partial_fit(pandas.DataFrame(X, columns=["age", "suv"]), y)
    two = Ridge().partial_fit(pandas.DataFrame(X, columns=["suv", "age"]), y)
    with pytest.raises(ValueError, match="features of other names"):
        one.merge(two)


def test_solve_normal_is_usable_alone(xp_any):
    from fastmm._space import enter

    X, y, _ = rows(60, 5, targets=4)
    gram, right = xp_any.asarray(X.T @ X), xp_any.asarray(X.T @ y)
    space, _, _ = enter(gram=gram)
    alphas = np.array([0.0, 1.0, 2.0, 3.0])
    for used in (2, 4):
        found = solve_normal(gram, right[:, :used], alphas[:used], space)
        expected = [naive_ridge(X, y[:, t], alphas[t], False)[0] for t in range(used)]
        np.testing.assert_allclose(xp_any.asnumpy(found.coef).T, expected, rtol=1e-9)
        assert found.rank == 5
        assert found.residual < 1e-15


@pytest.mark.parametrize("options", [{}, {"blocks": [slice(0, 5), slice(5, 12)]}])
@pytest.mark.parametrize("solver", ["auto", "primal", "dual", "svd", "iterative"])
def test_every_way_reports_its_backward_error(solver, options):
    X, y, _ = rows(80, 12, targets=2)
    alpha = [0.5, 7.0]
    model = Ridge(alpha, solver=solver, **options).fit(X, y)
    assert 0 < model.residual_ < 1e-9
    for other in (
        Ridge(alpha, **options).fit(X, y, groups=np.arange(80) // 4),
        Ridge(alpha, **options).partial_fit(X, y),
        Ridge(alpha, precision="mixed", **options).fit(X, y),
    ):
        np.testing.assert_allclose(other.coef_, model.coef_, rtol=1e-8)
        assert other.residual_ < 1e-9
        assert other.n_iter_ == 1
    with pytest.raises(ValueError, match="`precision`"):
        Ridge(precision="half").fit(X, y)
