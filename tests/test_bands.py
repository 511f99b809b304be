"""Ridge with a penalty for each block of columns, against refits on scaled columns and himalaya."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.model_selection import KFold, LeaveOneGroupOut, cross_val_predict

from fastmm import Ridge, RidgeCV, load_model, save_model, stack_features
from fastmm.solve.ridge import design
from fastmm.solve.ridge.bands import Bands
from fastmm.solve.ridge.solution import solve_ridge

SHAPES = [(60, 14), (24, 70)]
ALPHAS = (0.3, 3.0, 30.0)


def cohort(n, d, targets=None, seed=0):
    """Rows, targets, groups, and three blocks: side by side, apart, and one column."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + 3
    beta = np.where(np.arange(d) < d // 2, 1.0, 0.05)[:, None] * rng.normal(size=(d, targets or 1))
    y = X @ beta + rng.normal(size=(n, targets or 1))
    half = d // 2
    blocks = {
        "ct": slice(0, half),
        "pet": np.r_[half, half + 2 : d],
        "age": [half + 1],
    }
    groups = np.arange(n) // 3
    return X, y if targets else y[:, 0], groups, blocks


def factors(blocks, alpha, d):
    out = np.empty(d)
    for name, columns in blocks.items():
        out[columns] = alpha[name] ** -0.5
    return out


def reference(X, y, blocks, alpha, weight=None):
    scale = factors(blocks, alpha, X.shape[1])
    model = SklearnRidge(1.0, solver="svd").fit(X * scale, y, weight)
    return model.coef_ * scale, model.intercept_


@pytest.mark.parametrize("weighting", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_penalty_for_each_block_is_ridge_on_scaled_columns(xp_any, shape, weighting):
    X, y, _, blocks = cohort(*shape, targets=2)
    alpha = {"age": 0.1, "pet": 40.0, "ct": 2.0}
    weight = np.random.default_rng(1).uniform(0.2, 2, len(X)) if weighting else None
    coef, intercept = reference(X, y, blocks, alpha, weight)
    for given, penalties in (
        (blocks, alpha),
        (list(blocks.values()), [alpha[name] for name in blocks]),
        (tuple(blocks.values()), np.array([alpha[name] for name in blocks])),
    ):
        found = solve_ridge(
            xp_any.asarray(X),
            xp_any.asarray(y),
            penalties,
            blocks=given,
            sample_weight=None if weight is None else xp_any.asarray(weight),
        )
        np.testing.assert_allclose(xp_any.asnumpy(found.coef), coef, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(xp_any.asnumpy(found.intercept), intercept, rtol=1e-9)
        assert found.solver == ("primal" if shape[1] <= shape[0] else "dual")
    same = solve_ridge(X, y, 2.5, blocks=blocks)
    np.testing.assert_allclose(same.coef, solve_ridge(X, y, 2.5).coef, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("shape", SHAPES)
def test_leaving_groups_out_equals_refits(shape):
    X, y, groups, blocks = cohort(*shape, targets=2)
    weight = np.random.default_rng(1).uniform(0.2, 2, len(X))
    weight[[2, 9]] = 0
    alpha = {"ct": 2.0, "pet": 40.0, "age": 0.1}
    model = Ridge(alpha, blocks=blocks).fit(X, y, weight, groups)
    expected = np.empty_like(y)
    for train, test in LeaveOneGroupOut().split(X, groups=groups):
        coef, intercept = reference(X[train], y[train], blocks, alpha, weight[train])
        expected[test] = X[test] @ coef.T + intercept
    np.testing.assert_allclose(model.cv_predictions_, expected, rtol=1e-9, atol=1e-9)


def test_a_fold_that_alone_determines_a_direction_is_refitted():
    X, y, groups, blocks = cohort(60, 14)
    X[:, 3] = 0
    X[groups == 4, 3] = [3.0, -1.0, 2.0]
    alpha = {"ct": 1e-10, "pet": 40.0, "age": 0.1}
    model = Ridge(alpha, blocks=blocks).fit(X, y, groups=groups)
    train = groups != 4
    # Rows stacked over the roots of the penalties: scaled columns would lose digits here.
    mean, centre = X[train].mean(0), y[train].mean()
    stacked = np.vstack([X[train] - mean, np.diag(1 / factors(blocks, alpha, 14))])
    coef = np.linalg.lstsq(stacked, np.r_[y[train] - centre, np.zeros(14)], rcond=1e-14)[0]
    expected = (X[~train] - mean) @ coef + centre
    np.testing.assert_allclose(model.cv_predictions_[~train], expected, atol=1e-6)


@pytest.mark.parametrize("piece", [None, 100])
@pytest.mark.parametrize("per_target", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_search_equals_refits_of_every_candidate(xp_any, shape, per_target, piece, monkeypatch):
    if piece is not None:
        monkeypatch.setattr(design, "_PIECE", piece)
    X, y, groups, blocks = cohort(*shape, targets=3)
    model = RidgeCV(ALPHAS, blocks=blocks, n_candidates=7, alpha_per_target=per_target)
    model.fit(xp_any.asarray(X), xp_any.asarray(y), groups=groups)
    assert model.ratios_.shape == (7, 3)
    names, held_out = list(blocks), np.empty((7, 3, *y.shape))
    for i, ratios in enumerate(model.ratios_):
        for j, alpha in enumerate(ALPHAS):
            scale = factors(blocks, dict(zip(names, alpha * ratios, strict=True)), X.shape[1])
            held_out[i, j] = cross_val_predict(
                SklearnRidge(1.0, solver="svd"), X * scale, y, groups=groups, cv=LeaveOneGroupOut()
            )
    scores = -((held_out - y) ** 2).mean(axis=2)  # folds of one size
    scores = scores if per_target else scores.mean(axis=2)
    np.testing.assert_allclose(model.cv_scores_, scores, rtol=1e-8)
    for t in range(3):
        mine = scores[..., t] if per_target else scores
        i, j = np.unravel_index(mine.argmax(), mine.shape)
        best = dict(zip(names, ALPHAS[j] * model.ratios_[i], strict=True))
        found = {n: a[t] if per_target else a for n, a in model.alpha_.items()}
        assert found == pytest.approx(best)
        score = model.best_score_[t] if per_target else model.best_score_
        assert score == pytest.approx(mine.max())
        predictions = xp_any.asnumpy(model.cv_predictions_)[:, t]
        np.testing.assert_allclose(predictions, held_out[i, j, :, t], rtol=1e-8, atol=1e-9)
        coef, intercept = reference(X, y[:, t], blocks, best)
        np.testing.assert_allclose(xp_any.asnumpy(model.coef_)[t], coef, rtol=1e-7, atol=1e-9)
        assert float(model.intercept_[t]) == pytest.approx(intercept, rel=1e-8)


def test_the_search_equals_himalaya():
    solvers = pytest.importorskip("himalaya.ridge", reason="himalaya is not installed")
    X, y, _, blocks = cohort(60, 14, targets=4)
    model = RidgeCV(ALPHAS, blocks=blocks, n_candidates=6, alpha_per_target=True, cv=KFold(5)).fit(
        X, y
    )
    shares = 1 / (3 * model.ratios_)
    for i, share in enumerate(shares):
        _, _, scores, _ = solvers.solve_group_ridge_random_search(
            [X[:, columns] for columns in blocks.values()],
            y,
            n_iter=share[None],
            alphas=np.array(ALPHAS) / 3,
            fit_intercept=True,
            cv=KFold(5),
            return_weights=True,
            progress_bar=False,
        )
        np.testing.assert_allclose(model.cv_scores_[i].max(axis=0), scores[0], rtol=1e-6)


def test_a_block_of_noise_gets_the_larger_penalty():
    rng = np.random.default_rng(2)
    signal, noise = rng.normal(size=(80, 5)), rng.normal(size=(80, 300))
    y = signal @ rng.normal(size=5) + 0.5 * rng.normal(size=80)
    stacked = stack_features({"case": signal, "image": noise})
    alphas = np.logspace(-1, 4, 8)
    common = RidgeCV(alphas).fit(stacked.X, y)
    banded = RidgeCV(alphas, blocks=stacked.slices).fit(stacked.X, y)
    assert banded.alpha_["image"] > 30 * banded.alpha_["case"]
    assert banded.best_score_ > 0.5 * common.best_score_  # errors are negative
    assert banded.cv_scores_[0] == pytest.approx(common.cv_scores_)
    refitted = Ridge(banded.alpha_, blocks=stacked.slices).fit(stacked.X, y)
    np.testing.assert_allclose(refitted.coef_, banded.coef_, rtol=1e-7, atol=1e-9)


def test_wide_designs_form_no_square_of_their_columns():
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(12, 20_000)), rng.normal(size=12)
    blocks = [slice(0, 15_000), slice(15_000, None)]
    tracemalloc.start()
    model = RidgeCV(ALPHAS, blocks=blocks, n_candidates=4).fit(X, y)
    solve_ridge(X, y, [1.0, 2.0], blocks=blocks)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert model.solver_ == "dual"
    assert peak < 6 * X.nbytes


def test_candidates():
    bands = Bands({"a": slice(0, 2), "b": [2, 3], "c": slice(4, 5)}, 5)
    ratios = bands.candidates(40, 0)
    np.testing.assert_array_equal(ratios, bands.candidates(40, 0))
    assert (ratios != bands.candidates(40, 1)).any()
    np.testing.assert_array_equal(ratios[0], 1.0)
    np.testing.assert_array_equal(ratios[1:4].argmin(axis=1), [0, 1, 2])
    shares = 1 / (3 * ratios)
    assert (np.abs(shares.sum(axis=1) - 1) < 1e-4).all()
    assert ratios.shape == (40, 3)
    assert np.isfinite(ratios).all()
    assert bands.candidates(2, 0).shape == (2, 3)
    np.testing.assert_array_equal(Bands([slice(0, 5)], 5).candidates(9, 0), [[1.0]])


def test_models_of_blocks_are_cloned_and_saved(tmp_path):
    X, y, groups, blocks = cohort(60, 14)
    model = clone(RidgeCV(ALPHAS, blocks=blocks, n_candidates=3)).fit(X, y, groups=groups)
    listed = RidgeCV(ALPHAS, blocks=list(blocks.values()), n_candidates=3).fit(X, y, groups=groups)
    assert list(model.alpha_.values()) == listed.alpha_
    assert all(type(value) is float for value in listed.alpha_)
    save_model(model, tmp_path / "m.fastmm")
    loaded = load_model(tmp_path / "m.fastmm")
    assert loaded.alpha_ == model.alpha_
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


@pytest.mark.parametrize(
    ("blocks", "error", "message"),
    [
        ([slice(0, 2)], ValueError, "each of the 3 columns of X once, got 1 in no block"),
        ([slice(0, 3), [2]], ValueError, "1 more than once"),
        ([slice(0, 3), slice(3, 3)], ValueError, r"`blocks\[1\]` must hold at least one column"),
        ({"a": [0, 1, 5]}, ValueError, r"`blocks\['a'\]` names a column that X, with 3"),
        ({"a": [0.0, 1.0]}, TypeError, "1-D array of column indices"),
        ([], ValueError, "3 in no block"),
        ("abc", TypeError, "`blocks` must be a dict or a list"),
        (3, TypeError, "`blocks` must be a dict or a list"),
    ],
)
def test_bad_blocks(blocks, error, message):
    with pytest.raises(error, match=message):
        RidgeCV(blocks=blocks).fit(np.eye(4, 3), np.arange(4.0))


@pytest.mark.parametrize(
    ("alpha", "error", "message"),
    [
        ({"a": 1.0}, ValueError, "a penalty for each block"),
        ({"a": 1.0, "c": 1.0}, ValueError, "a penalty for each block"),
        ({"a": 1.0, "b": 0.0}, ValueError, r"`alpha\['b'\]` must be a finite number greater than"),
        ([1.0, 2.0, 3.0], ValueError, "each of the 2 blocks, got 3"),
        (0.0, ValueError, "`alpha` must be a finite number greater than 0"),
        ("1", TypeError, "`alpha`"),
    ],
)
def test_bad_penalties(alpha, error, message):
    blocks = {"a": [0], "b": [1, 2]}
    with pytest.raises(error, match=message):
        solve_ridge(np.eye(4, 3), np.arange(4.0), alpha, blocks=blocks)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alphas": (0.0, 1.0)}, r"`alphas\[0\]` must be a finite number"),
        ({"n_candidates": 0}, "`n_candidates` must be a positive integer"),
        ({"seed": -1}, "`seed` must be an integer of at least 0"),
    ],
)
def test_bad_parameters(parameters, message):
    model = RidgeCV(blocks=[slice(0, 3)]).set_params(**parameters)
    with pytest.raises(ValueError, match=message):
        model.fit(np.eye(4, 3), np.arange(4.0))
