"""How often intervals and paired tests of out-of-fold scores are right, on simulated cohorts.

Ridge models of a fixed penalty, ten folds dealt three times, one column that tells the class by
`shift` standard deviations and others of noise. The truth is the mean area that such models
reach on new patients. Minutes on one core.
"""

from __future__ import annotations

import argparse
import math
import warnings
from typing import Any

import numpy as np

from fastmm.validate.bootstrap import bootstrap_auc
from fastmm.validate.comparison import compare_auc
from fastmm.validate.dealing import deal_rows
from fastmm.validate.few_groups import expansion
from fastmm.validate.training_share import training_share, widened

#: Patients of each class, columns, shift.
AREAS = (
    (10, 30, 3, 0.0), (10, 30, 3, 1.0), (5, 25, 3, 0.0), (5, 25, 3, 2.0), (2, 20, 3, 1.0),
    (30, 30, 5, 0.0), (30, 30, 50, 0.0), (30, 30, 5, 1.0), (30, 30, 50, 1.0), (50, 50, 20, 1.0),
)  # fmt: skip
#: Patients of each class, columns of the one and of the other modality, shift of each.
PAIRS = ((30, 5, 5, 0.0, 0.0), (30, 5, 50, 0.0, 0.0), (30, 5, 5, 1.0, 1.0), (30, 3, 3, 1.5, 1.5))


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=300, help="of each kind")
    count = parser.parse_args().cohorts
    warnings.simplefilter("ignore", UserWarning)  # of resamples that lack a class
    print("| patients | columns | shift | truth | as resampled | widened |")
    for few, many, columns, shift in AREAS:
        found = area((few, many, columns, shift), count)
        print("|", " | ".join([f"{few} + {many}", str(columns), str(shift), *found]), "|")
    print("| columns | shifts | true gain | p < .05 | with the share |")
    for row in PAIRS:
        cells = [f"{row[1]} + {row[2]}", f"{row[3]}, {row[4]}", *pair(row, count)]
        print("|", " | ".join(cells), "|")


def area(row: tuple[int, int, int, float], count: int) -> list[str]:
    """Return the true area and the coverage of 95 % intervals."""
    few, many, columns, shift = row
    rng, y = np.random.default_rng(0), np.repeat([1, 0], [few, many])
    found, truth = [], []
    for _ in range(count):
        X = draw(rng, y, columns, {0: shift})
        deals = out_of_fold(X, y)
        plain = bootstrap_auc(y, deals.mean(axis=0), n_resamples=500)
        share = training_share(y, deals, None, min(10, len(y)))
        found.append([plain, widened(plain, math.sqrt(1 + share) * expansion(y))])
        fresh = np.arange(2000) % 2
        new = draw(rng, fresh, columns, {0: shift}) @ fit(X, y)
        truth.append(bootstrap_auc(fresh, new, n_resamples=1)[0])
    ends, mean = np.array(found), float(np.mean(truth))
    held = ((ends[..., 1] <= mean) & (mean <= ends[..., 2])).mean(axis=0)
    return [f"{mean:.3f}", *(f"{value:.1%}" for value in held)]


def pair(row: tuple[int, int, int, float, float], count: int) -> list[str]:
    """Return the mean gain of both over the first, and how often it is called significant."""
    half, first, second, shift, other = row
    rng, y = np.random.default_rng(0), np.arange(2 * half) % 2
    gains, plain, shared = [], [], []
    for _ in range(count):
        X = draw(rng, y, first + second, {0: shift, first: other})
        alone, fused = out_of_fold(X[:, :first], y), out_of_fold(X, y)
        share = training_share(y, fused, None, 10, against=alone)
        means = fused.mean(axis=0), alone.mean(axis=0)
        test = compare_auc(y, *means)
        gains.append(test.difference)
        plain.append(test.pvalue < 0.05)
        shared.append(compare_auc(y, *means, inflation=1 + share).pvalue < 0.05)
    return [f"{np.mean(gains):+.3f}", f"{np.mean(plain):.1%}", f"{np.mean(shared):.1%}"]


def draw(rng: Any, y: Any, columns: int, shifts: dict[int, float]) -> Any:
    """Draw rows whose columns tell the class by `shifts`."""
    X = rng.normal(size=(len(y), columns))
    for column, shift in shifts.items():
        X[:, column] += shift * y
    return X


def fit(X: Any, y: Any, penalty: float = 10.0) -> Any:
    """Return the weights of ridge regression, classes weighing the same."""
    sign = np.where(y == 1, 1 / max(1, (y == 1).sum()), -1 / max(1, (y == 0).sum()))
    centred = X - X.mean(axis=0)
    gram = centred.T @ centred + penalty * np.eye(X.shape[1])
    return np.linalg.solve(gram, len(y) * centred.T @ sign)


def out_of_fold(X: Any, y: Any, times: int = 3) -> Any:
    """Return the scores of each deal into ten folds."""
    deals = np.empty((times, len(y)))
    for seed, own in enumerate(deals):
        fold = deal_rows(y.astype(np.intp), None, 10, seed)
        for each in range(fold.max() + 1):
            test = fold == each
            own[test] = (X[test] - X[~test].mean(axis=0)) @ fit(X[~test], y[~test])
    return deals


if __name__ == "__main__":
    main()
