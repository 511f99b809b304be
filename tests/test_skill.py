"""Weights by skill: against refits of single modalities, and what they should follow."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import helmert
from scipy.stats import norm
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import roc_auc_score

from fastmm import ImageModality, MultimodalClassifier
from fastmm.blocks import Block
from fastmm.fusion.fused_kernels import FusedKernel
from fastmm.fusion.skill import _skill, drawn_together, skill_weights
from fastmm.fusion.tuning import tune
from fastmm.solve.grouped import make_folds

ALPHAS = (0.01, 0.3, 10.0)


@pytest.mark.parametrize("form", ["linear", "joint", "rbf"])
def test_skill_is_the_error_that_refits_on_present_rows_take_away(form):
    rng = np.random.default_rng(0)
    n, X = 40, rng.normal(size=(40, 5))
    present = {"a": rng.random(n) > 0.3, "b": np.ones(n, bool)}
    X[~present["a"]] = 0
    y = np.sign(X[:, 0] + rng.normal(size=n) / 2)
    groups, weight = np.arange(n) // 3, rng.random(n) + 0.5
    gammas = {"linear": {}, "joint": {"": 0.4}, "rbf": {"a": 0.4, "b": 1.0}}[form]
    kernel = FusedKernel({"a": X, "b": rng.normal(size=(n, 2))}, present, form, gammas)
    found = _skill(kernel, "a", y[:, None], np.sqrt(weight), make_folds(n, groups), ALPHAS)
    here = present["a"]
    X, y, groups, weight = X[here], y[here], groups[here], weight[here]
    losses, null = np.zeros((3, groups.max() + 1)), np.zeros(groups.max() + 1)
    for g in np.unique(groups):
        out = groups == g
        kept = weight[~out] / weight[~out].sum()
        null[g] = weight[out] @ (y[out] - kept @ y[~out]) ** 2
        for a, alpha in enumerate(ALPHAS):
            # With a free intercept: the kernel is centred by weights, and so are the labels.
            named = {"kernel": "rbf", "gamma": 0.4} if form != "linear" else {"kernel": "linear"}
            K = KernelRidge(**named)._get_kernel(X)
            middle = np.eye(len(X))
            middle[:, ~out] -= kept
            K = middle @ K @ middle.T
            model = KernelRidge(alpha=alpha, kernel="precomputed")
            mean = kept @ y[~out]
            model.fit(K[np.ix_(~out, ~out)], y[~out] - mean, sample_weight=weight[~out])
            error = y[out] - mean - model.predict(K[np.ix_(out, ~out)])
            losses[a, g] = weight[out] @ error**2
    best = losses[losses.sum(axis=1).argmin()]
    left = best.sum() / null.sum()
    assert found[0] == pytest.approx(1 - left, rel=1e-8)
    assert found[1] == pytest.approx(np.sqrt(((best - left * null) ** 2).sum()) / null.sum())


@pytest.mark.parametrize(
    ("skills", "error"),
    [([0.3, 0.1], 0.2), ([0.3, 0.0], 0.06), ([0.6, 0.2, 0.1], 0.1), ([0.4, 0.1, 0.1, 0.0], 0.05)],
)
def test_weights_are_drawn_together_as_far_as_chance_may_have_spread_them(skills, error):
    def normal(spread):
        """Return how likely the skills are, from contrasts between them, which know no mean."""
        contrasts = helmert(len(skills)) @ skills
        return norm.pdf(contrasts, scale=np.hypot(error, spread)).prod()

    def kept(spread):
        return spread**2 / (error**2 + spread**2) * normal(spread)

    part = quad(kept, 0, 0.5)[0] / quad(normal, 0, 0.5)[0]
    expected = np.mean(skills) + part * (np.array(skills) - np.mean(skills))
    found = drawn_together(np.array(skills), np.full(len(skills), error))
    np.testing.assert_allclose(found, expected / expected.mean(), rtol=1e-4)


def test_weights_of_sure_skills_are_the_skills_and_of_none_the_same():
    np.testing.assert_array_equal(drawn_together(np.array([-0.3, -0.1]), np.full(2, 1e-9)), 1)
    sure = drawn_together(np.array([0.6, 0.2, -0.4]), np.full(3, 1e-9))
    np.testing.assert_allclose(sure, np.array([0.6, 0.2, 0.006]) / 0.806 * 3)
    # A hundred patients that tell .1 and 0 apart by a standard error and a half.
    told, not_told = drawn_together(np.array([0.1, 0.0]), np.full(2, 0.07))
    assert 2 * not_told < told < 10 * not_told


def test_a_modality_without_rows_to_judge_by_is_no_error():
    rng = np.random.default_rng(1)
    here = np.zeros(30, bool)
    here[:2] = True
    rows = {"a": rng.normal(size=(30, 3)), "rare": rng.normal(size=(30, 2)) * here[:, None]}
    kernel = FusedKernel(rows, {"a": np.ones(30, bool), "rare": here}, "linear", {})
    y = np.sign(rows["a"][:, :1])
    weights = skill_weights(kernel, y, np.ones(30), make_folds(30), ALPHAS)
    assert sum(weights.values()) == pytest.approx(2)
    assert weights["a"] >= weights["rare"] > 0


def test_the_search_ends_no_higher_than_where_it_started():
    rng = np.random.default_rng(2)
    rows = {"a": rng.normal(size=(60, 4)), "b": rng.normal(size=(60, 9))}
    y = np.sign(rows["a"][:, :1] + rng.normal(size=(60, 1)))
    kernel = FusedKernel(rows, dict.fromkeys(rows, np.ones(60, bool)), "linear", {})
    folds, root = make_folds(60), np.ones(60)
    start = skill_weights(kernel, y, root, folds, np.logspace(-3, 3, 7))
    tuned = tune(kernel, y, root, folds, (1e-3, 1e3))
    held = tune(kernel, y, root, folds, (1e-3, 1e3), free_weights=False, start=start)

    def loss(found):
        from fastmm.fusion.left_out_loss import left_out

        theta = np.log([found.weights[name] for name in rows])
        left = left_out(kernel.matrix(theta), found.alpha, y, root, folds)
        return (left.residuals**2).sum()

    assert loss(tuned) <= loss(held) * (1 + 1e-9)


def area(blocks, y, names, weights="tuned"):
    """Return the area in new rows of a model of the first 60."""
    train, test = slice(0, 60), slice(60, None)
    model = MultimodalClassifier({name: ImageModality() for name in names}, weights=weights)
    model.fit({name: blocks[name].take(train) for name in names}, y[train])
    score = model.decision_function({name: blocks[name].take(test) for name in names})
    return roc_auc_score(y[test], score)


def drawn(seed, told, noise):
    """Return modalities of standard deviation 1, some of them apart by class in one column."""
    rng = np.random.default_rng(seed)
    y = np.arange(400) % 2
    values = {name: rng.normal(size=(400, d)) for name, (d, _) in (told | noise).items()}
    for name, (_, apart) in told.items():
        values[name][:, 0] += apart * y
    here = np.ones(400, bool)
    return {name: Block(own.astype("float32"), here) for name, own in values.items()}, y


@pytest.mark.parametrize(
    ("told", "noise"),
    [
        ({"table": (6, 1.6)}, {"image": (300, 0)}),
        ({"image": (60, 3.0)}, {"table": (6, 0)}),
        ({"table": (6, 1.6)}, {"n1": (6, 0), "n2": (6, 0), "n3": (6, 0)}),
    ],
)
def test_noise_beside_the_modality_that_tells_costs_little(told, noise):
    found = {"alone": [], "tuned": [], "equal": []}
    for seed in range(8):
        blocks, y = drawn(seed, told, noise)
        found["alone"].append(area(blocks, y, told))
        found["tuned"].append(area(blocks, y, blocks))
        found["equal"].append(area(blocks, y, blocks, "equal"))
    mean = {how: np.mean(each) for how, each in found.items()}
    assert mean["tuned"] > mean["alone"] - 0.02
    assert mean["tuned"] > mean["equal"]


def test_two_modalities_that_tell_different_things_gain():
    told = {"table": (6, 1.4), "image": (40, 2.2)}
    gains = []
    for seed in range(8):
        blocks, y = drawn(seed, told, {})
        best = max(area(blocks, y, [name]) for name in told)
        gains.append(area(blocks, y, told) - best)
    assert np.mean(gains) > 0.03
