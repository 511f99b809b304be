"""Comparisons of areas, against DeLong's and Obuchowski's formulas written out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest, norm
from sklearn.metrics import roc_auc_score

from fastmm.validate.comparison import compare_auc


def cohort(seed=0, n=80, patients=25, gap=0.5, ties=True):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, patients, n)
    y = rng.integers(0, 2, n)
    shared = rng.normal(size=n) + rng.normal(size=patients)[groups]
    first = shared + y + rng.normal(size=n)
    second = shared + (1 - gap) * y + rng.normal(size=n)
    return y, *((first.round(1), second.round(1)) if ties else (first, second)), groups


def naive_covariance(y, scores, groups):
    """Obuchowski (1997), equations as printed, with loops over rows and groups."""
    up, down = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    kernel = lambda a, b: 1.0 if a > b else 0.5 if a == b else 0.0  # noqa: E731
    V10 = {i: [np.mean([kernel(s[i], s[j]) for j in down]) for s in scores] for i in up}
    V01 = {j: [np.mean([kernel(s[i], s[j]) for i in up]) for s in scores] for j in down}
    area = np.mean([V10[i] for i in up], axis=0)
    names = np.unique(groups)
    held10 = sum(any(groups[i] == g for i in up) for g in names)
    held01 = sum(any(groups[j] == g for j in down) for g in names)
    S10, S01, S11 = np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 2))
    for g in names:
        a = sum((np.array(V10[i]) - area for i in up if groups[i] == g), np.zeros(2))
        b = sum((np.array(V01[j]) - area for j in down if groups[j] == g), np.zeros(2))
        S10 += np.outer(a, a)
        S01 += np.outer(b, b)
        S11 += np.outer(a, b)
    M, N, names = len(up), len(down), len(names)
    S10 *= held10 / ((held10 - 1) * M)
    S01 *= held01 / ((held01 - 1) * N)
    S11 *= names / (names - 1)
    return area, S10 / M + S01 / N + (S11 + S11.T) / (M * N)


@pytest.mark.parametrize("clustered", [True, False])
def test_equals_the_formula_written_out(clustered):
    y, first, second, groups = cohort()
    groups = groups if clustered else np.arange(y.size)
    found = compare_auc(y, first, second, groups if clustered else None, confidence=0.9)
    area, cov = naive_covariance(y, [first, second], groups)
    error = np.sqrt(cov[0, 0] + cov[1, 1] - 2 * cov[0, 1])
    difference = area[0] - area[1]
    reach = norm.ppf(0.95) * error
    np.testing.assert_allclose([found.auc_a, found.auc_b], area, rtol=1e-12)
    np.testing.assert_allclose(
        [found.low, found.high], [difference - reach, difference + reach], rtol=1e-9
    )
    assert found.pvalue == pytest.approx(2 * norm.sf(abs(difference) / error), rel=1e-9)


def test_without_groups_it_is_the_sample_covariance_of_delong():
    y, first, second, _ = cohort(seed=3)
    wins = [
        (s[y == 1][:, None] > s[y == 0]) + 0.5 * (s[y == 1][:, None] == s[y == 0])
        for s in (first, second)
    ]
    cov = sum(
        np.cov([w.mean(axis=axis) for w in wins]) / wins[0].shape[1 - axis] for axis in (1, 0)
    )
    error = np.sqrt(cov[0, 0] + cov[1, 1] - 2 * cov[0, 1])
    found = compare_auc(y, first, second)
    assert found.high - found.difference == pytest.approx(norm.ppf(0.975) * error, rel=1e-9)


def test_bootstrap_equals_a_naive_one():
    y, first, second, groups = cohort()
    found = compare_auc(y, first, second, groups, method="bootstrap", n_resamples=300, seed=5)
    names = list(dict.fromkeys(groups))
    rng, drawn = np.random.default_rng(5), []
    for draw in rng.integers(0, len(names), (300, len(names))):
        rows = np.concatenate([np.flatnonzero(groups == names[i]) for i in draw])
        drawn.append(roc_auc_score(y[rows], first[rows]) - roc_auc_score(y[rows], second[rows]))
    np.testing.assert_allclose(
        [found.low, found.high], np.quantile(drawn, [0.025, 0.975]), atol=1e-12
    )
    drawn = np.array(drawn).round(12)
    beyond = min((drawn <= 0).sum(), (drawn >= 0).sum())
    assert found.pvalue == pytest.approx(min(1, 2 * (1 + beyond) / 301))


def test_methods_agree():
    y, first, second, groups = cohort(n=600, patients=150, ties=False)
    closed = compare_auc(y, first, second, groups)
    drawn = compare_auc(y, first, second, groups, method="bootstrap", n_resamples=3000)
    assert drawn.high - drawn.low == pytest.approx(closed.high - closed.low, rel=0.1)


def test_three_classes_by_bootstrap():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 90)
    scores = [rng.normal(size=(90, 3)) + gain * np.eye(3)[y] for gain in (2.0, 0.5)]
    scores = [np.exp(s) / np.exp(s).sum(axis=1, keepdims=True) for s in scores]
    found = compare_auc(y, *scores, rng.integers(0, 30, 90), method="bootstrap", n_resamples=200)
    options = {"multi_class": "ovr", "average": "macro"}
    expected = [roc_auc_score(y, s, **options) for s in scores]
    np.testing.assert_allclose([found.auc_a, found.auc_b], expected, rtol=1e-12)
    assert found.low > 0
    assert found.pvalue < 0.05
    with pytest.raises(ValueError, match="bootstrap"):
        compare_auc(y, *scores)


def test_pvalues_are_uniform_where_the_scores_are_equally_good():
    pvalues = [compare_auc(*cohort(seed, 200, 60, gap=0.0)).pvalue for seed in range(200)]
    assert kstest(pvalues, "uniform").pvalue > 0.01


def test_rows_for_patients_would_be_too_sure():
    rows = [cohort(seed, 300, 20, gap=0.0) for seed in range(60)]
    # Both the labels and the scores' errors are shared within a patient here.
    false = {"groups": 0, "rows": 0}
    for seed, (_, first, second, groups) in enumerate(rows):
        rng = np.random.default_rng(seed)
        y = rng.integers(0, 2, 20)[groups]
        first = first.round(0) * 0 + rng.normal(size=20)[groups] + 0.3 * rng.normal(size=300)
        second = second * 0 + rng.normal(size=20)[groups] + 0.3 * rng.normal(size=300)
        false["groups"] += compare_auc(y, first, second, groups).pvalue < 0.05
        false["rows"] += compare_auc(y, first, second).pvalue < 0.05
    assert false["groups"] <= 12
    assert false["rows"] > 30


def test_equal_scores_and_swapped_ones():
    y, first, second, groups = cohort()
    same = compare_auc(y, first, 2 * first + 1, groups)
    assert (same.difference, same.low, same.high, same.pvalue) == (0, 0, 0, 1)
    there = compare_auc(y, first, second, groups)
    back = compare_auc(y, second, first, groups)
    np.testing.assert_allclose([back.low, back.high], [-there.high, -there.low], rtol=1e-12)
    assert back.pvalue == pytest.approx(there.pvalue)


def test_complete_separation_is_told():
    y = np.array([0, 0, 0, 1, 1, 1])
    with pytest.warns(UserWarning, match="estimated as 0"):
        assert compare_auc(y, y, -y).difference == 1


def test_device_arrays(xp_any):
    y, first, second, groups = cohort()
    there = compare_auc(xp_any.asarray(y), xp_any.asarray(first), xp_any.asarray(second), groups)
    assert there == compare_auc(y, first, second, groups)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"score_b": [0.0, np.nan, 1.0, 2.0]}, "`score_b` contains NaN"),
        ({"score_a": [0.0, 1.0]}, "`score_a` must have shape"),
        ({"groups": [0, 0, 0, 0]}, "at least 2 groups"),
        ({"groups": [0, 1, 0, 2]}, "held by at least 2 groups, got 1"),
        ({"confidence": 1.0}, "`confidence`"),
        ({"method": "t"}, "`method`"),
        ({"n_resamples": 0}, "`n_resamples`"),
    ],
)
def test_refused(arguments, message):
    given = {"y": [0, 1, 0, 1], "score_a": [0.0, 1.0, 2.0, 3.0], "score_b": [1.0, 0.0, 2.0, 3.0]}
    with pytest.raises(ValueError, match=message):
        compare_auc(**{**given, **arguments})
