"""Late fusion: one model for each modality, and a linear combination of their scores."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import clone

from fastmm.blocks import Block
from fastmm.solve.ridge.combination import LinearCombination

__all__ = ["LateFusion"]


class LateFusion:
    r"""Combine the scores of models of single modalities.

    Each model sees the rows that have its modality. The weights are learned from scores
    out of fold, each by a model that has not seen the patient,

    .. math:: f_i = b + \sum_m \beta_m \frac{o_{im}\, s_{im}}{\sqrt{d_i}}, \qquad
              \beta \ge 0, \quad d_i = \frac1M \sum_m o_{im},

    with :math:`s_{im}` the score over its root mean square, and :math:`o_{im}` 0 where row
    i lacks modality m: the rule for missing modalities of `BlockFusion`. A modality that
    tells nothing gets the weight 0.

    Parameters
    ----------
    parent : Multimodal
        Its parameters make the models of single modalities.

    Attributes
    ----------
    members_ : dict of str to estimator
        The model of each modality.
    combinations_ : list of LinearCombination
        One for each target.
    scales_, centres_ : dict of str to array
        Root mean square of each modality's scores, and what is taken off them before.
    """

    def __init__(self, parent: Any) -> None:
        self.parent = parent

    def fit(self, rows: Any, trained: Mapping[str, Any] | None = None, progress: Any = None) -> Any:
        """Fit the models and their weights; return what is predicted out of fold.

        Networks of single modalities that were `trained` on the same rows are not trained
        again.
        """
        parent, self.members_ = self.parent, {}
        del self.parent  # a model file holds no model twice
        targets = rows.targets.reshape(len(rows.targets), -1)
        scores: dict[str, Any] = {}
        for name, block in rows.blocks.items():
            here = block.present
            if not here.any():
                raise ValueError(f"Modality {name!r} must be there in at least one row.")
            if rows.codes is not None and len(set(rows.codes[here])) < len(set(rows.codes)):
                raise ValueError(f"Modality {name!r} must be there in rows of each class.")
            scores[name] = np.zeros(targets.shape)
            if trained is not None and name in trained:
                self.members_[name] = trained[name]
                own = trained[name].fusion_.cv_scores_
            else:
                member = self.members_[name] = clone(parent).set_params(
                    modalities={name: parent.modalities[name]}, fusion="stack", weights="equal"
                )
                told = _share(progress, len(scores) - 1, len(rows.blocks))
                own = member.fit_rows(_taken(rows, {name: block}, here), progress=told)
            scores[name][here] = own.reshape(-1, targets.shape[1])
        # Left-out decisions have no mean to speak of; left-out predictions have that of y.
        regression = rows.codes is None
        self.centres_ = {
            name: own[rows.blocks[name].present].mean(axis=0) * regression
            for name, own in scores.items()
        }
        self.scales_ = {
            name: np.sqrt(((own - self.centres_[name])[rows.blocks[name].present] ** 2).mean(0))
            for name, own in scores.items()
        }
        design = self._design(scores, {n: b.present for n, b in rows.blocks.items()})
        groups = np.arange(len(targets)) if rows.groups is None else rows.groups
        held_out = np.empty_like(targets)
        self.combinations_ = []
        for at in range(targets.shape[1]):
            one = LinearCombination(positive=True)
            with warnings.catch_warnings():
                # Scores that say the same, or nothing, are no fault of the user's.
                warnings.filterwarnings("ignore", message="The scores have rank")
                one.fit(design[:, :, at], targets[:, at], rows.weight, groups)
            held_out[:, at] = one.cv_predictions_
            self.combinations_.append(one)
        return held_out.reshape(rows.targets.shape)

    def predict(self, blocks: Mapping[str, Block]) -> Any:
        """Return the combined scores of rows, (n,) or (n, targets)."""
        return self._combined(*self.scores(blocks))

    def scores(self, blocks: Mapping[str, Block]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the scores of each modality's model, 0 where missing, and which are there."""
        present = {name: blocks[name].present for name in self.members_}
        none = ~np.any(list(present.values()), axis=0)
        if none.any():
            raise ValueError(
                f"Each row must have at least one of {', '.join(present)}; row "
                f"{int(np.argmax(none))} has none ({int(none.sum())} such rows)."
            )
        scores = {}
        for name, here in present.items():
            scores[name] = np.zeros((len(here), len(self.combinations_)))
            if here.any():
                own = self.members_[name].score_rows({name: blocks[name].take(here)})
                scores[name][here] = own.reshape(-1, len(self.combinations_))
        return scores, present

    def contributions(self, blocks: Mapping[str, Block]) -> dict[str, Any]:
        """Return what each modality adds to the score, (n,) or (n, targets), and "intercept"."""
        design = self._design(*self.scores(blocks))
        parts = {
            name: self._flat(
                np.stack(
                    [design[:, m, at] * one.coef_[m] for at, one in enumerate(self.combinations_)],
                    axis=1,
                )
            )
            for m, name in enumerate(self.members_)
        }
        intercept = np.array([one.intercept_ for one in self.combinations_])
        return {**parts, "intercept": float(intercept[0]) if len(intercept) == 1 else intercept}

    def factors(self, present: Mapping[str, Any]) -> dict[str, Any]:
        """Return by what each modality's score is multiplied, (n, targets)."""
        root = np.sqrt(np.mean(list(present.values()), axis=0))
        return {
            name: np.stack(
                [
                    present[name] / root * one.coef_[m] / (self.scales_[name][at] or 1.0)
                    for at, one in enumerate(self.combinations_)
                ],
                axis=1,
            )
            for m, name in enumerate(self.members_)
        }

    def _combined(self, scores: Mapping[str, Any], present: Mapping[str, Any]) -> Any:
        design = self._design(scores, present)
        every = [one.predict(design[:, :, at]) for at, one in enumerate(self.combinations_)]
        return self._flat(np.stack(every, axis=1))

    def _design(self, scores: Mapping[str, Any], present: Mapping[str, Any]) -> Any:
        """Return the scaled scores (n, modalities, targets)."""
        root = np.sqrt(np.mean([present[name] for name in self.members_], axis=0))
        columns = [
            (scores[name] - self.centres_[name])
            / np.where(self.scales_[name] > 0, self.scales_[name], 1.0)
            * (present[name] / root)[:, None]
            for name in self.members_
        ]
        return np.stack(columns, axis=1)

    @staticmethod
    def _flat(values: Any) -> Any:
        return values[:, 0] if values.shape[1] == 1 else values


def _share(progress: Any, number: int, count: int) -> Any:
    """Return what one of `count` models tells its progress."""
    if progress is None:
        return None
    return lambda done, total: progress(number * total + done, count * total)


def _taken(rows: Any, blocks: dict[str, Block], here: Any) -> Any:
    """Return the training rows of one modality, those that have it."""
    return rows._replace(
        blocks={name: block.take(here) for name, block in blocks.items()},
        owner=None,
        targets=rows.targets[here],
        codes=None if rows.codes is None else rows.codes[here],
        weight=None if rows.weight is None else rows.weight[here],
        groups=None if rows.groups is None else np.asarray(rows.groups)[here],
    )
