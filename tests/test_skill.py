"""Weights by what each modality tells: against refits and integrals, and what they should do."""

import numpy as np
import pytest
from scipy.integrate import quad
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import roc_auc_score

from fastmm import ImageModality, MultimodalClassifier
from fastmm.blocks import Block
from fastmm.fused_kernels import FusedKernel
from fastmm.skill import expected_share, skill_weights
from fastmm.solve.grouped import make_folds
from fastmm.tuning import tune

SHARES = ((np.arange(12) + 0.5) / 12) ** 2


@pytest.mark.parametrize("form", ["linear", "joint", "rbf"])
def test_weights_are_the_posterior_means_of_refits_on_present_rows(form):
    rng = np.random.default_rng(0)
    n, X, Z = 40, rng.normal(size=(40, 5)), rng.normal(size=(40, 2))
    present = {"a": rng.random(n) > 0.3, "b": np.ones(n, bool)}
    X[~present["a"]] = 0
    y = np.sign(X[:, 0] + rng.normal(size=n) / 2)
    groups, weight = np.arange(n) // 3, 7 * (rng.random(n) + 0.5)
    gammas = {"linear": {}, "joint": {"": 0.4}, "rbf": {"a": 0.4, "b": 0.4}}[form]
    kernel = FusedKernel({"a": X, "b": Z}, present, form, gammas)
    found = skill_weights(kernel, y[:, None], np.sqrt(weight), make_folds(n, groups))
    expected = [
        refitted(form, rows[here], y[here], weight[here], groups[here])
        for rows, here in ((X, present["a"]), (Z, present["b"]))
    ]
    assert expected[0] > 2 * expected[1]
    np.testing.assert_allclose(list(found.values()), expected / np.mean(expected), rtol=1e-7)


def refitted(form, X, y, weight, groups):
    """Return the posterior mean of the share, from models fitted without each group."""
    named = {"kernel": "linear"} if form == "linear" else {"kernel": "rbf", "gamma": 0.4}
    plain = KernelRidge(**named)._get_kernel(X)
    variance = np.trace(plain - plain.mean(axis=0)) / len(X)
    losses, null = np.zeros(12), 0.0
    for g in np.unique(groups):
        out = groups == g
        kept = weight[~out] / weight[~out].sum()
        mean = kept @ y[~out]
        null += weight[out] @ (y[out] - mean) ** 2
        # With a free intercept: the kernel is centred by weights, and so are the labels.
        middle = np.eye(len(X))
        middle[:, ~out] -= kept
        K = middle @ plain @ middle.T
        for at, share in enumerate(SHARES):
            alpha = variance * weight.mean() * (1 / share - 1)
            model = KernelRidge(alpha=alpha, kernel="precomputed")
            model.fit(K[np.ix_(~out, ~out)], y[~out] - mean, sample_weight=weight[~out])
            losses[at] += weight[out] @ (y[out] - mean - model.predict(K[np.ix_(out, ~out)])) ** 2
    likely = (losses / null) ** (-len(np.unique(groups)) / 2) * np.sqrt(SHARES)
    likely /= np.sqrt(SHARES).sum()
    return (likely @ SHARES) / (likely.sum() + 1)


@pytest.mark.parametrize(
    ("a", "b", "scale"), [(0, 0, 1), (2, 5, 90), (0, 9, 0.1), (3, 1, 2), (0, 30, 40)]
)
def test_the_expected_share_is_the_integral(a, b, scale):
    """A likelihood of h^a (1 - h)^b, `scale` times that of nothing where it is largest."""
    top = a / max(a + b, 1)

    def likelihood(h):
        return scale * (h / top if a else 1) ** a * ((1 - h) / (1 - top)) ** b

    told = quad(lambda h: h * likelihood(h), 0, 1)[0]
    expected = told / (quad(likelihood, 0, 1)[0] + 1)
    losses = 3.0 * np.array([likelihood(h) for h in SHARES]) ** (-2 / 50)
    assert expected_share(3.0, losses, 50) == pytest.approx(expected, rel=0.03)
    losses[3] = np.nan
    assert np.isfinite(expected_share(3.0, losses, 50))


def test_no_evidence_is_too_strong_for_the_expected_share():
    assert expected_share(1.0, np.full(12, 1e9), 2000) == 0.0
    sure = np.r_[np.ones(11), 1e-200]
    assert expected_share(1.0, sure, 2000) == pytest.approx(SHARES[-1])
    assert expected_share(1.0, np.zeros(12), 2000) == pytest.approx(0.5, abs=0.01)


def test_a_modality_without_rows_to_judge_by_is_no_error():
    rng = np.random.default_rng(1)
    here = np.zeros(30, bool)
    here[:2] = True
    rows = {"a": rng.normal(size=(30, 3)), "rare": rng.normal(size=(30, 2)) * here[:, None]}
    kernel = FusedKernel(rows, {"a": np.ones(30, bool), "rare": here}, "linear", {})
    y = np.sign(rows["a"][:, :1])
    weights = skill_weights(kernel, y, np.ones(30), make_folds(30))
    assert sum(weights.values()) == pytest.approx(2)
    assert weights["a"] >= weights["rare"] > 0


def test_the_search_ends_no_higher_than_where_it_started():
    rng = np.random.default_rng(2)
    rows = {"a": rng.normal(size=(60, 4)), "b": rng.normal(size=(60, 9))}
    y = np.sign(rows["a"][:, :1] + rng.normal(size=(60, 1)))
    kernel = FusedKernel(rows, dict.fromkeys(rows, np.ones(60, bool)), "linear", {})
    folds, root = make_folds(60), np.ones(60)
    start = skill_weights(kernel, y, root, folds)
    tuned = tune(kernel, y, root, folds, (1e-3, 1e3))
    held = tune(kernel, y, root, folds, (1e-3, 1e3), free_weights=False, start=start)

    def loss(found):
        from fastmm.left_out_loss import left_out

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
