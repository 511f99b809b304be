"""A ridge problem at every candidate of a search, and the fit of those chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastmm.solve.grouped import Folds, fold_shares, less_training_means, training_means
from fastmm.solve.ridge import design
from fastmm.solve.ridge.bands import BandedGrams, Bands
from fastmm.solve.ridge.factorisation import factorise
from fastmm.solve.ridge.problem import RidgeProblem
from fastmm.solve.scoring import best_of, score_classes, score_regression

__all__ = ["RidgeGrid"]

_EVERY = slice(None)


class RidgeGrid:
    """The candidates of a search: every alpha times every ratio of the blocks' penalties.

    Predictions are scored batch by batch, and all but the best so far are dropped.
    """

    def __init__(
        self,
        problem: RidgeProblem,
        folds: Folds,
        alphas: Sequence[float],
        bands: Bands | None = None,
        ratios: np.ndarray[Any, Any] | None = None,
    ) -> None:
        self.problem, self.folds, self.alphas = problem, folds, alphas
        self.bands, self.ratios = bands, ratios
        self.directions = 1 if ratios is None else len(ratios)
        self._grams: BandedGrams | None = None
        self._known: tuple[int, RidgeProblem, Any] | None = None
        self._best = _Best()
        self.error = 0.0  # of the coefficients that `fit` found, estimated

    def scores(
        self, scoring: str, codes: np.ndarray[Any, Any] | None = None, *, per_target: bool = False
    ) -> Any:
        """Return the score of each candidate, (directions, alphas), on the host.

        The mean over targets, or with `per_target` (directions, alphas, targets). With the
        `codes` of classes, targets are decisions on them and share one score.
        """
        problem, joint = self.problem, codes is not None
        score = self._score(scoring) if codes is None else self._class_score(scoring, codes)
        width = 1 if joint else problem.targets.shape[1]
        scores = np.empty((self.directions, len(self.alphas), width))
        batches = list(problem.batches(self.folds, self.alphas, joint=joint))
        for i in range(self.directions):
            scaled, spectrum = self.factorised(i)
            for some, columns in batches:
                held_out = scaled.held_out(spectrum, self.folds, self.alphas[some], columns)
                found = score(held_out, columns)
                scores[i, some, _EVERY if joint else columns] = found
                if columns == _EVERY:
                    found = found if per_target else found.mean(axis=1, keepdims=True)
                    self._best.offer(found, held_out, i * len(self.alphas) + some.start, problem.xp)
        return scores if per_target else scores.mean(axis=2)

    def fit(self, chosen: Any) -> tuple[Any, Any, Any, str, int]:
        """Fit candidate `chosen`, or one for each target (targets,).

        Candidates count alphas first, then directions. Return coefficients, intercept,
        held-out predictions (n, targets), solver and the least rank.
        """
        problem, xp = self.problem, self.problem.xp
        n, targets = problem.targets.shape
        chosen = np.broadcast_to(chosen, targets)
        coef, solvers, rank = xp.empty((problem.design.shape[1], targets)), set(), n + 1
        for i in np.unique(chosen // len(self.alphas)):
            scaled, spectrum = self.factorised(int(i))
            mine = np.flatnonzero(chosen // len(self.alphas) == i)
            alphas = np.array(self.alphas)[chosen[mine] % len(self.alphas)]
            where = _columns(mine, targets, xp)
            penalty = float(alphas[0]) if np.ptp(alphas) == 0 else xp.asarray(alphas)[:, None]
            found = scaled.coefficients(spectrum, where, penalty)
            self.error = max(self.error, scaled.error(spectrum, found, where, penalty))
            coef[:, where] = scaled.design.unscaled(found)
            solvers.add(spectrum.kind)
            rank = min(rank, spectrum.rank())
        solver = solvers.pop() if len(solvers) == 1 else "svd"
        return *problem.original(coef), self._held_out(chosen), solver, rank

    def factorised(self, direction: int) -> tuple[RidgeProblem, Any]:
        """Return the problem and its spectrum for one ratio of the blocks' penalties."""
        if self._known is None or self._known[0] != direction:
            problem, gram = self.problem, None
            if self.bands is not None and self.ratios is not None:
                if self._grams is None:
                    self._grams = BandedGrams(problem.design, self.bands)
                ratio = self.ratios[direction]
                gram = self._grams.at(ratio)
                problem = problem.scaled(problem.xp.asarray(self.bands.factors(ratio)))
            spectrum = factorise(problem.design, min(self.alphas), gram=gram)
            self._known = direction, problem, spectrum
        return self._known[1:]

    def _held_out(self, chosen: np.ndarray[Any, Any]) -> Any:
        """Return the held-out predictions of the chosen candidates, (n, targets)."""
        n, targets = self.problem.targets.shape
        missing = self._best.missing(chosen)
        if not missing.any():
            return self._best.held_out
        xp = self.problem.xp
        held_out = xp.empty((n, targets)) if self._best.held_out is None else self._best.held_out
        for number in np.unique(chosen[missing]):
            direction, alpha = divmod(int(number), len(self.alphas))
            scaled, spectrum = self.factorised(direction)
            same = np.flatnonzero(missing & (chosen == number))
            for part in design.pieces(same.size, n):
                where = _columns(same[part], targets, xp)
                alphas = [self.alphas[alpha]]
                held_out[:, where] = scaled.held_out(spectrum, self.folds, alphas, where)[0]
        return held_out

    def _score(self, scoring: str) -> Callable[[Any, Any], Any]:
        """Return a function of held-out predictions and which targets they are."""
        if scoring in ("neg_mean_squared_error", "r2"):
            return self._squared_score(scoring)
        y, weight = self._on_host()
        means = self._training_means(scoring, y, weight)

        def score(held_out: Any, columns: Any) -> Any:
            found = self.problem.space.to_host(held_out)
            found = (
                found
                if means is None
                else less_training_means(found, means[:, columns], y[:, columns])
            )
            return score_regression(
                scoring, y[:, columns], found, self.folds, weight, per_target=True
            )

        return score

    def _squared_score(self, scoring: str) -> Callable[[Any, Any], Any]:
        # Where the predictions live: only sums of squares leave for the host.
        problem, space, xp = self.problem, self.problem.space, self.problem.xp
        weight = None if problem.weight is None else space.to_host(problem.weight)
        if scoring == "r2":
            even = np.ones(len(self.folds.codes)) if weight is None else weight
            share = space.asarray(even / even.sum())
        else:
            share = space.asarray(fold_shares(self.folds, weight))

        def sums(wrong: Any) -> Any:
            return space.to_host(xp.matmul(share, wrong * wrong))

        def score(held_out: Any, columns: Any) -> Any:
            y = problem.targets[:, columns]
            with np.errstate(over="ignore", invalid="ignore"):
                loss = sums(held_out - y)
                if scoring != "r2":
                    return -loss
                spread = sums(y - share @ y)
                constant = spread == 0
                return 1.0 - np.where(constant, loss != 0, loss / np.where(constant, 1.0, spread))

        return score

    def _class_score(self, scoring: str, codes: np.ndarray[Any, Any]) -> Callable[[Any, Any], Any]:
        y, weight = self._on_host()
        means = self._training_means(scoring, y, weight)

        def score(held_out: Any, _: Any) -> Any:
            found = self.problem.space.to_host(held_out)
            found = found if means is None else less_training_means(found, means, y)
            return score_classes(scoring, codes, found, self.folds, weight)[:, None]

        return score

    def _on_host(self) -> tuple[Any, Any]:
        problem = self.problem
        weight = None if problem.weight is None else problem.space.to_host(problem.weight)
        return problem.space.to_host(problem.targets), weight

    def _training_means(self, scoring: str, y: Any, weight: Any) -> Any:
        """Return what areas are free of: the mean of the targets each fold's model saw.

        A heavily penalised model predicts it, and it leans against the rows left out.
        """
        if scoring != "roc_auc" or not self.problem.fit_intercept:
            return None
        return training_means(self.folds, y, weight)


def _columns(index: np.ndarray[Any, Any], count: int, xp: Any) -> Any:
    """Return which targets: a slice where it is all, which spares copies."""
    return _EVERY if index.size == count else xp.asarray(index)


class _Best:
    """The held-out predictions of the best candidate met so far, for each target or all."""

    def __init__(self) -> None:
        self.held_out: Any = None
        self.numbers: Any = None
        self.scores: Any = None

    def offer(self, scores: np.ndarray[Any, Any], held_out: Any, first: int, xp: Any) -> None:
        """Take in scores (alphas, targets or 1) of predictions (alphas, n, targets)."""
        places = best_of(scores)
        best = scores[places, np.arange(places.size)]
        better = np.ones(places.size, bool)
        if self.numbers is None:
            self.held_out = xp.empty(held_out.shape[1:])
            self.numbers, self.scores = np.empty_like(places), np.empty_like(best)
        else:
            better = best > self.scores + 1e-12 * np.abs(self.scores)
        for place in np.unique(places[better]):
            now = np.flatnonzero(better & (places == place))
            where = _columns(now, places.size, xp)
            self.held_out[:, where] = held_out[place][:, where]
        self.numbers[better], self.scores[better] = first + places[better], best[better]

    def missing(self, chosen: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Say for which targets the chosen candidate is not the one that was kept."""
        if self.numbers is None:
            return np.ones(chosen.size, bool)
        missing: np.ndarray[Any, Any] = chosen != self.numbers
        return missing
