"""Intervals of out-of-fold scores: who was trained on is chance, too."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fastmm.validate.bootstrap import bootstrap_auc
from fastmm.validate.comparison import compare_auc
from fastmm.validate.few_groups import expansion
from fastmm.validate.out_of_fold import OutOfFold, deal_folds
from fastmm.validate.score_permutation import permute_scores
from fastmm.validate.training_share import training_share, widened


def ridge_deals(X, y, times=2):
    """Score rows out of ten folds, in several deals, by ridge models of a fixed penalty."""
    scores = np.empty((times, len(y)))
    for own, fold in zip(scores, deal_folds(y, np.arange(len(y)), times), strict=True):
        for each in range(10):
            test = fold == each
            rows, label = X[~test], 2.0 * y[~test] - 1
            gram = rows.T @ rows + 10 * np.eye(X.shape[1])
            own[test] = X[test] @ np.linalg.solve(gram, rows.T @ label)
    return scores


@pytest.fixture(scope="module")
def noise():
    """Scores of two models of noise, nested in each other, on 80 cohorts of 40 patients."""
    rng, y = np.random.default_rng(0), np.arange(40) % 2
    found = []
    for _ in range(80):
        X = rng.normal(size=(40, 8))
        found.append((y, ridge_deals(X[:, :4], y), ridge_deals(X, y)))
    return found


def test_intervals_hold_the_area_of_noise_as_often_as_they_say(noise):
    narrow = wide = 0
    for y, deals, _ in noise:
        found = bootstrap_auc(y, deals.mean(axis=0), n_resamples=300)
        _, low, high = widened(found, (1 + training_share(y, deals, None, 10)) ** 0.5)
        narrow += found[1] <= 0.5 <= found[2]
        wide += low <= 0.5 <= high
    assert narrow / len(noise) < 0.9  # what the factor is for
    assert wide / len(noise) >= 0.9


def test_models_of_noise_are_told_apart_as_seldom_as_the_level_says(noise):
    often = seldom = 0
    for y, small, large in noise:
        share = training_share(y, large, None, 10, against=small)
        scores = large.mean(axis=0), small.mean(axis=0)
        often += compare_auc(y, *scores).pvalue < 0.05
        seldom += compare_auc(y, *scores, inflation=1 + share).pvalue < 0.05
    assert often / len(noise) > 0.1
    assert seldom / len(noise) <= 0.1


def test_permuted_scores_of_noise_are_as_seldom_as_the_level_says(noise):
    small = [permute_scores(y, d.mean(0), n_permutations=200).pvalue for y, d, _ in noise]
    spread = [
        permute_scores(
            y, d.mean(0), n_permutations=200, inflation=1 + training_share(y, d, None, 10)
        ).pvalue
        for y, d, _ in noise
    ]
    assert np.mean(np.array(spread) <= 0.05) <= 0.1
    assert np.mean(np.array(spread) <= 0.05) <= np.mean(np.array(small) <= 0.05)


def test_a_strong_signal_leaves_little_to_chance():
    rng, y = np.random.default_rng(1), np.arange(60) % 2
    X = rng.normal(size=(60, 3))
    weak = training_share(y, ridge_deals(X, y), None, 10)
    X[:, 0] += 3 * y
    strong = training_share(y, ridge_deals(X, y), None, 10)
    assert strong < 0.2 < 0.5 < weak


def test_share_by_definition_with_repeated_patients_and_classes():
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(25), 2)
    y = rng.permutation(25)[groups] % 3
    deals = rng.normal(size=(1, 50, 3)) * 3 + rng.normal(size=(3, 50, 3)) * 0.1
    noise = spread = 0.0
    for k in range(3):
        own, pos = deals[..., k], y == k
        mean = own.mean(0)
        centred = mean - np.where(pos, mean[pos].mean(), mean[~pos].mean())
        unit = np.sqrt(np.mean(centred**2))
        w = np.where(pos, 1 / pos.sum(), -1 / (~pos).sum()) / unit
        for g in range(25):
            inside = groups == g
            noise += np.var([(w * s)[inside].sum() for s in own], ddof=1)
            spread += (w * centred)[inside].sum() ** 2
    expected = noise / ((25 / 10 - 1) / 24) / spread
    assert 0 < expected < 1
    assert training_share(y, deals, groups, 10) == pytest.approx(expected, rel=1e-10)


def test_nothing_known_is_the_most():
    y, scores = np.arange(20) % 2, np.arange(20.0)
    assert training_share(y, [scores], None, 10) == 1.0  # one deal
    assert training_share(y, [scores, scores], None, 20) == 1.0  # left out one at a time
    assert training_share(y, [0 * scores, 0 * scores], None, 10) == 1.0  # no scores
    assert training_share(y, [scores, scores + 1], None, 10, against=[scores, scores + 2]) == 1.0


def test_widened_ends_stay_scores_and_never_come_nearer():
    assert widened((1.0, 0.9, 1.0), 1.5) == pytest.approx((1.0, 0.85, 1.0))
    assert widened((0.5, 0.1, 0.9), 1.5)[1:] == (0.0, 1.0)
    assert widened((0.5, 0.6, 0.7), 1.5)[1:] == pytest.approx((0.6, 0.8))


@pytest.mark.parametrize("method", ["delong", "bootstrap"])
def test_inflation_widens_by_its_root(method):
    rng = np.random.default_rng(3)
    y = np.arange(80) % 2
    a, b = rng.normal(size=(2, 80)) + 0.8 * y
    plain = compare_auc(y, a, b, method=method)
    more = compare_auc(y, a, b, method=method, inflation=4.0)
    assert more.high - more.low == pytest.approx(2 * (plain.high - plain.low))
    assert more.pvalue > plain.pvalue
    with pytest.raises(ValueError, match="`inflation` must be a finite number of at least 1"):
        compare_auc(y, a, b, inflation=0.5)


def test_studies_widen_what_they_report():
    """The scores of a set, of its subgroups and its comparison carry the factor."""
    from fastmm.findings.comparing import compare_sets
    from fastmm.findings.scoring import score_set
    from fastmm.findings.subgroups import subgroup_scores
    from fastmm.findings.validation import Validated

    rng, y = np.random.default_rng(4), np.arange(60) % 2
    X = rng.normal(size=(60, 6)) + 0.5 * y[:, None]

    def found(name, columns, dealt):
        deals = ridge_deals(X[:, columns], y)
        score = deals.mean(axis=0)
        chance = np.full((60, 2), 0.5)
        held_out = OutOfFold(score, chance, y, 10, deals=deals if dealt else None)
        rows = np.ones(60, bool)
        names = tuple(name.split("+"))
        label = "fused" if len(names) > 1 else name
        return Validated("ridge", label, names, rows, y, np.arange(60), held_out)

    for dealt in (True, False):
        sets = [found("a", [0, 1, 2], dealt), found("b", [3, 4, 5], dealt)]
        sets.append(found("a+b", range(6), dealt))
        numbers = [score_set(one).numbers for one in sets]
        for one, own in zip(sets, numbers, strict=True):
            share = training_share(y, one.deals, None, 10)
            assert own["training_share"] == share == (1.0 if not dealt else share)
            plain = bootstrap_auc(y, one.score, one.groups)
            factor = (1 + share) ** 0.5 * expansion(y)
            ends = own["auc"], own["auc_low"], own["auc_high"]
            assert ends == pytest.approx(tuple(widened(plain, factor)), rel=1e-12)
        fused, alone = sets[2], sets[0]
        rows, _ = compare_sets(sets, numbers)
        share = training_share(y, alone.deals, None, 10, against=fused.deals)
        expected = compare_auc(y, fused.score, alone.score, inflation=1 + share)
        assert (rows[0]["pvalue"], rows[0]["difference_low"]) == (expected.pvalue, expected.low)
        level = subgroup_scores(fused, {"sex": ["f"] * 60})[0]
        assert level["auc_low"] == numbers[2]["auc_low"]


def test_larger_cohorts_are_dealt_often_enough_to_tell():
    from fastmm import TableModality
    from fastmm.findings.validation import Plan, deal_times, validate_sets
    from fastmm.stopwatch import Stopwatch

    assert [deal_times(n) for n in (100, 101, 1000, 1001)] == [3, 2, 2, 1]
    rng, y = np.random.default_rng(5), np.arange(102) % 2
    modality = TableModality()
    blocks = {"case": modality.extract({"x": (rng.normal(size=102) + y).tolist()})}
    plan = Plan({"case": modality}, ("ridge",), "stack", False)
    cohort = SimpleNamespace(y=y, groups=np.arange(102))
    args = (cohort, plan, [("ridge", ("case",))], blocks, Stopwatch(), lambda _: lambda *_: None)
    (one,) = validate_sets(*args)
    assert one.deals.shape == (2, 102)
    np.testing.assert_allclose(one.deals.mean(axis=0), one.score, rtol=1e-12)
    assert one.training_share < 1
    assert roc_auc_score(y, one.score) > 0.6


@pytest.mark.parametrize("count", [5, 10, 40])
def test_intervals_of_few_are_those_of_welch(count):
    """Half the width of Welch's interval of a difference of means, over that of a bootstrap."""
    from scipy.stats import norm, ttest_ind

    a = np.linspace(-1, 1, count)
    half = ttest_ind(a, a, equal_var=False).confidence_interval(0.95).high
    drawn = np.sqrt(2 * a.var() / count) * norm.ppf(0.975)
    assert expansion(np.arange(2 * count) % 2) == pytest.approx(half / drawn, rel=1e-9)


def test_rows_of_a_patient_count_once_and_the_smallest_class_rules():
    groups = np.repeat(np.arange(20), 3)
    assert expansion(groups % 2, groups) == expansion(np.arange(20) % 2)
    three = np.repeat([0, 1, 2], [3, 20, 20])
    assert expansion(three) == expansion(three == 0) > expansion(three == 1)
    assert 1 < expansion(np.arange(4000) % 2) < 1.001
