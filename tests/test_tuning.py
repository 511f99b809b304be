"""Tuning on the left-out loss: against refits, differences, and what fusion should find."""

import numpy as np
import pytest

from fastmm.fusion.fused_kernels import FusedKernel, combine
from fastmm.fusion.left_out_loss import held_out_loss, left_out, left_out_path
from fastmm.fusion.tuning import tune
from fastmm.solve.grouped import make_folds

FORMS = [("linear", False), ("joint", False), ("rbf", False), ("rbf", True)]


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    n, sizes = 50, {"a": 5, "b": 8, "c": 3}
    rows = {name: rng.normal(size=(n, d)) / d**0.5 for name, d in sizes.items()}
    present = {name: rng.random(n) > 0.2 for name in rows}
    present["a"][:] = True
    for name in rows:
        rows[name][~present[name]] = 0
    targets = np.stack([np.sign(rows["a"][:, 0] + rows["b"][:, 0]), rng.normal(size=n)], axis=1)
    groups = np.repeat(np.arange(n // 2), 2)
    groups[:9] = 99
    return rows, present, targets, np.sqrt(rng.random(n) + 0.5), make_folds(n, groups)


def kernel_of(rows, present, form, interactions):
    names = {"linear": [], "joint": [""], "rbf": list(rows)}[form]
    return FusedKernel(rows, present, form, dict.fromkeys(names, 1.3), interactions)


@pytest.mark.parametrize(("form", "interactions"), FORMS)
def test_the_loss_is_that_of_refits(data, form, interactions):
    rows, present, targets, root, folds = data
    kernel = kernel_of(rows, present, form, interactions)
    K = kernel.matrix(np.random.default_rng(1).normal(size=kernel.parameters) / 2)
    assert np.linalg.eigvalsh(K).min() > -1e-9
    expected, alpha = 0.0, 0.3
    for fold in range(folds.n_folds):
        test, train = folds.codes == fold, folds.codes != fold
        m = int(train.sum())
        system = np.zeros((m + 1, m + 1))
        system[0, 1:] = system[1:, 0] = 1
        system[1:, 1:] = K[np.ix_(train, train)] + np.diag(alpha / root[train] ** 2)
        solved = np.linalg.solve(system, np.vstack([np.zeros((1, 2)), targets[train]]))
        predicted = K[np.ix_(test, train)] @ solved[1:] + solved[0]
        expected += float((root[test, None] ** 2 * (targets[test] - predicted) ** 2).sum())
    assert held_out_loss(K, alpha, targets, root, folds)[0] == pytest.approx(expected, rel=1e-10)


def test_one_spectrum_gives_the_residuals_of_every_penalty(data):
    rows, present, targets, root, folds = data
    K = kernel_of(rows, present, "rbf", False).matrix(np.zeros(6))
    alphas = (1e-3, 0.3, 1e3)
    path = list(left_out_path(K, alphas, targets, root, folds))
    assert len(path) == 3
    for alpha, found in zip(alphas, path, strict=True):
        expected = left_out(K, alpha, targets, root, folds).residuals
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("form", "interactions"), FORMS)
def test_the_gradient_is_that_of_differences(data, form, interactions):
    rows, present, targets, root, folds = data
    kernel = kernel_of(rows, present, form, interactions)
    theta = np.random.default_rng(2).normal(size=kernel.parameters) / 2

    def loss(at, alpha=0.3):
        return held_out_loss(kernel.matrix(at), alpha, targets, root, folds)

    _, slope, by_alpha = loss(theta)
    found = kernel.pull(slope)
    steps = 1e-5 * np.eye(theta.size)
    expected = [(loss(theta + s)[0] - loss(theta - s)[0]) / 2e-5 for s in steps]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    difference = (loss(theta, 0.3 + 1e-6)[0] - loss(theta, 0.3 - 1e-6)[0]) / 2e-6
    assert by_alpha == pytest.approx(difference, rel=1e-5)


@pytest.mark.parametrize("form", ["linear", "joint", "rbf"])
def test_tuning_lowers_the_loss_and_finds_the_modality_that_tells(form):
    rng = np.random.default_rng(3)
    n = 150
    # Distances of many columns of noise are all the same, so that their RBF kernel does no harm.
    sizes = {"noise": 9 if form == "rbf" else 90, "told": 9}
    rows = {name: rng.normal(size=(n, d)) / d**0.5 for name, d in sizes.items()}
    present = dict.fromkeys(rows, np.ones(n, bool))
    targets = np.sign(rows["told"] @ rng.normal(size=9))[:, None]
    kernel, folds, root = kernel_of(rows, present, form, False), make_folds(n), np.ones(n)
    tuned = tune(kernel, targets, root, folds, (1e-3, 1e3))
    assert tuned.weights["told"] > 2 * tuned.weights["noise"]
    assert sum(tuned.weights.values()) == pytest.approx(2)
    assert tuned.evaluations < 60
    equal = tune(kernel, targets, root, folds, (1e-3, 1e3), free_weights=False)
    assert equal.weights == {"noise": 1.0, "told": 1.0}
    losses = []
    for found in (equal, tuned):
        widths = np.log(np.array(list(found.widths.values())) / 1.3)
        theta = np.append(np.log(list(found.weights.values())), widths)
        losses.append(held_out_loss(kernel.matrix(theta), found.alpha, targets, root, folds)[0])
    assert losses[1] < (0.999 if form == "rbf" else 0.98) * losses[0]


def test_interactions_hold_the_sum_and_the_products():
    rng = np.random.default_rng(4)
    parts = {name: np.exp(-rng.random((4, 5))) for name in "ab"}
    rows = {name: np.ones(4, bool) for name in "ab"}
    columns = {name: np.ones(5, bool) for name in "ab"}
    weights = {"a": 0.5, "b": 1.5}
    found = combine(parts, rows, columns, weights, True)
    whole = 0.5 * parts["a"] + 1.5 * parts["b"] + 0.75 * parts["a"] * parts["b"]
    np.testing.assert_allclose(found, whole / (0.5 + 1.5 + 0.75))
    columns["b"][0] = False
    np.testing.assert_allclose(
        combine(parts, rows, columns, weights, True)[:, 0],
        0.5 * parts["a"][:, 0] / np.sqrt(2.75 * 0.5),
    )
