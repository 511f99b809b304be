"""Which sets of modalities a study validates, and their out-of-fold predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from fastmm.blocks import Block
from fastmm.cohort import Cohort
from fastmm.findings.networks import LEFT_OUT, validate_network
from fastmm.findings.reading import Task
from fastmm.modalities import ImageModality
from fastmm.multimodal import MultimodalClassifier
from fastmm.stopwatch import Stopwatch
from fastmm.validate.few_groups import expansion
from fastmm.validate.out_of_fold import OutOfFold, deal_folds, out_of_fold
from fastmm.validate.training_share import training_share

__all__ = [
    "FEW",
    "FUSED",
    "REPEATS",
    "Plan",
    "Validated",
    "deal_times",
    "name_set",
    "plan_sets",
    "validate_sets",
]

FUSED = "fused"
# Up to so many patients one deal into folds is a matter of luck: three are averaged. Leaving
# out one by one costs more, and scores of noise, ranked together, have areas below one half.
# Two deals tell how much scores depend on who was trained on; thousands cost more than it tells.
FEW, REPEATS = 100, 3
_MANY = 1000
_MOST_PAIRED = 6  # modalities; 15 pairs


@dataclass(frozen=True)
class Plan:
    """What a study validates: the first model, on all modalities, becomes the final one.

    Attributes
    ----------
    modalities : dict of str to ImageModality or TableModality
        All of them.
    models : tuple of str
        Solvers.
    fusion : str
        How modalities are fused.
    interactions : bool
        Whether kernels are fused as a product.
    memory_limit : int or None
        Bytes that a fit may take.
    """

    modalities: Mapping[str, Any]
    models: tuple[str, ...]
    fusion: str
    interactions: bool
    memory_limit: int | None = None

    def classifier(self, kind: str, names: Sequence[str]) -> MultimodalClassifier:
        """Return the model of some modalities, not fitted."""
        own = {name: self.modalities[name] for name in names}
        # Where there is one modality, there is nothing to combine.
        fusion = "stack" if self.fusion == "late" and len(own) == 1 else self.fusion
        return MultimodalClassifier(
            own,
            solver=kind,
            fusion=fusion,
            interactions=self.interactions,
            memory_limit=self.memory_limit,
        )

    def final(self) -> MultimodalClassifier:
        """Return the model that is fitted to all rows in the end, not fitted."""
        return self.classifier(self.models[0], tuple(self.modalities))

    def label(self, names: Sequence[str]) -> str:
        """Name a set of modalities: all of several are "fused"."""
        return name_set(names, len(self.modalities))


@dataclass(frozen=True)
class Validated:
    """Out-of-fold predictions of one model on one set of modalities.

    Attributes
    ----------
    model, features : str
        The solver, and the name of the set.
    names : tuple of str
        The modalities.
    rows : bool array of shape (cohort rows,)
        Rows that have one of them.
    y, groups : arrays of shape (rows,)
        Labels and patients of those.
    held_out : OutOfFold
        Predictions of those.
    fitted : MultimodalClassifier or None
        Of networks the model, fitted to those rows.
    """

    model: str
    features: str
    names: tuple[str, ...]
    rows: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any]
    groups: np.ndarray[Any, Any]
    held_out: OutOfFold
    fitted: MultimodalClassifier | None = None

    @property
    def about(self) -> dict[str, str]:
        """What tells these predictions from others."""
        return {"model": self.model, "features": self.features}

    @property
    def score(self) -> np.ndarray[Any, Any]:
        """What ranks the rows: decisions, or a probability of each class."""
        binary = self.held_out.decision.ndim == 1
        return self.held_out.score if binary else self.held_out.probability

    @property
    def deals(self) -> np.ndarray[Any, Any]:
        """What ranks the rows in each deal into folds."""
        return self.score[None] if self.held_out.deals is None else self.held_out.deals

    @cached_property
    def training_share(self) -> float:
        """Share of the scores' variance that comes from who was trained on."""
        return training_share(self.y, self.deals, self.groups, self.held_out.folds)

    def widening(self, y: Any, groups: Any) -> float:
        """Return by how much intervals of scores of some rows grow: chance of training, few."""
        return math.sqrt(1 + self.training_share) * expansion(y, groups)


def name_set(names: Sequence[str], count: int) -> str:
    """Name some of `count` modalities."""
    return FUSED if 1 < len(names) == count else " + ".join(names)


def plan_sets(plan: Plan) -> tuple[list[tuple[str, tuple[str, ...]]], list[str]]:
    """Return what is validated, (model, modalities), and notes on what is not.

    Each modality alone and all fused with every model, each pair with the first.
    """
    names, first = tuple(plan.modalities), plan.models[0]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    notes: list[str] = []
    if len(names) == 2:
        pairs = []  # the only pair is all of them
    elif first == "deep" and plan.fusion == "stack" and pairs:
        notes.append(
            f"the {len(pairs)} pairs of modalities were not validated: each would be a network "
            "for each fold; `--fusion late` validates them without further training"
        )
        pairs = []
    elif len(names) > _MOST_PAIRED:
        notes.append(f"the {len(pairs)} pairs of modalities were not validated: too many")
        pairs = []
    if "deep" in plan.models:
        notes.append(LEFT_OUT)
    sets: list[tuple[str, tuple[str, ...]]] = []
    for kind in plan.models:
        sets += [(kind, (name,)) for name in names]
        sets += [(kind, pair) for pair in pairs if kind == first]
        sets += [(kind, names)] if len(names) > 1 else []
    return sets, notes


def validate_sets(
    cohort: Cohort,
    plan: Plan,
    sets: Sequence[tuple[str, tuple[str, ...]]],
    blocks: Mapping[str, Block],
    watch: Stopwatch,
    task: Task,
) -> list[Validated]:
    """Predict out of fold with every model and set, over the rows that have one of its parts.

    All in the same folds of patients: scores of other folds differ by more than modalities do.
    """
    found: list[Validated] = []
    every = _deals(cohort.y, cohort.groups)
    progress = task("validate")
    cost = [_cost(plan, kind, names) for kind, names in sets]
    for number, (kind, names) in enumerate(sets):
        rows = np.any([blocks[name].present for name in names], axis=0)
        y, groups = np.asarray(cohort.y)[rows], cohort.groups[rows]
        own = {name: blocks[name].take(rows) for name in names}
        model, fitted, before = plan.classifier(kind, names), None, sum(cost[:number])
        with watch(f"validate {kind}") as stage:
            if kind == "deep":
                singles = {one.names[0]: one.fitted for one in found if len(one.names) == 1}
                late = {name: singles[name] for name in names if model.fusion == "late"}
                told = partial(_tell, progress, before, cost[number], sum(cost))
                held_out, fitted = validate_network(
                    model, own, y, groups, members=late, progress=told
                )
                stage.fits += 0 if model.fusion == "late" else held_out.folds + 1
            else:
                folds = [each[rows] for each in every]
                if not _fit_for(folds, y):
                    folds = _deals(y, groups)
                held_out = out_of_fold(model, own, y, groups, folds=folds)
                stage.fits += held_out.fits
        label = plan.label(names)
        found.append(Validated(kind, label, names, rows, y, groups, held_out, fitted))
        progress(before + cost[number], sum(cost))
    return found


def deal_times(patients: int) -> int:
    """Return how often patients are dealt into folds anew."""
    if patients <= FEW:
        return REPEATS
    return 2 if patients <= _MANY else 1


def _deals(y: Any, groups: Any) -> list[np.ndarray[Any, Any]]:
    return deal_folds(y, groups, deal_times(len(np.unique(groups))))


def _fit_for(folds: Sequence[Any], y: Any) -> bool:
    """Tell whether folds of the whole cohort leave each class of some of its rows to train on."""
    count = len(np.unique(y))
    return all(
        len(np.unique(y[each != fold])) == count for each in folds for fold in np.unique(each)
    )


def _cost(plan: Plan, kind: str, names: Sequence[str]) -> int:
    """Return about how long a set takes, against others: what is left can be told from it."""
    if kind != "deep" or (plan.fusion == "late" and len(names) > 1):
        return 1
    return sum(100 if isinstance(plan.modalities[name], ImageModality) else 10 for name in names)


def _tell(progress: Any, before: int, own: int, whole: int, done: int, total: int) -> None:
    progress(before + own * done // total, whole)
