"""The training cases that a kernel model takes for most like a new one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fastmm._check import integer, one_of
from fastmm.blocks import Block, spread_slices
from fastmm.fusion.row_parts import over_parts
from fastmm.pairwise import rbf_kernel

__all__ = ["KERNEL_SOLVERS", "Similar", "similar_cases", "training_cases"]

KERNEL_SOLVERS = ("lssvm", "svm")


class Similar(NamedTuple):
    """The training cases most like each row.

    Parameters
    ----------
    rows : int array of shape (n, k)
        Their numbers in the order of `fit`, the most similar first; -1 where there is none.
    similarity : array of shape (n, k)
        Kernel values, 1 for a twin; NaN where there is none.
    labels : array of shape (n, k)
        What they were trained to be: labels, or numbers; of no meaning where there is none.
    """

    rows: np.ndarray[Any, Any]
    similarity: np.ndarray[Any, Any]
    labels: np.ndarray[Any, Any]


def similar_cases(
    model: Any, X: Mapping[str, Any], count: int = 3, *, modality: str | None = None
) -> Similar:
    """Find the training cases that the kernel of a model takes for most similar.

    Parameters
    ----------
    model : MultimodalClassifier or MultimodalRegressor
        Fitted, with a kernel: solver "lssvm" or "svm".
    X : dict of str to raw data or Block
        Rows.
    count : int, default 3
        How many for each.
    modality : str, optional
        With late fusion the modality whose model is asked; each has a kernel of its own.

    Returns
    -------
    Similar
        Of "svm" with stacked features among its support vectors, which are all it keeps; of
        "lssvm" that took few rows as centres among these.
        Where slices are rows, of the mean similarity of all slices.

    Raises
    ------
    ValueError
        If the model has no kernel, or `modality` is not one of a model fused late.
    """
    check_is_fitted(model, "fusion_")
    if model.solver not in KERNEL_SOLVERS:
        raise ValueError(f'Similar cases need `solver` "lssvm" or "svm", got "{model.solver}".')
    if model.fusion == "late":
        one_of(modality, "modality", tuple(model.fusion_.members_))
    elif modality is not None:
        raise ValueError("`modality` is for late fusion, where each has its own kernel.")
    wanted = integer(count, "count")
    found = over_parts(model, X, lambda part: _nearest(model, part, wanted, modality), 2)
    return Similar(**found)


def _nearest(model: Any, part: dict[str, Block], wanted: int, modality: Any) -> dict[str, Any]:
    blocks, owner = spread_slices(part)
    cases, labels = model.cases_["row"][""], _labels(model)
    here = np.ones(len(next(iter(blocks.values())).present), bool)
    if model.fusion == "late":
        name = str(modality)
        here, cases = blocks[name].present, model.cases_["row"][name]
        blocks = {name: blocks[name].take(here)}
        model = model.fusion_.members_[name]
    known = _known(model)
    kernel = _kernel(model, blocks) if here.any() else np.zeros((0, cases[known].size))
    columns, at = np.unique(cases[known], return_inverse=True)
    kernel = _means(kernel.T, at, len(columns)).T
    rows = np.arange(len(here)) if owner is None else owner
    kernel = _means(kernel, rows[here], int(rows.max()) + 1)
    order = np.argsort(-kernel, axis=1, kind="stable")[:, : min(wanted, len(columns))]
    similarity = np.take_along_axis(kernel, order, axis=1)
    found = np.where(np.isnan(similarity), -1, columns[order])
    return {"rows": found, "similarity": similarity, "labels": labels[np.maximum(found, 0)]}


def training_cases(model: Any, rows: Any, labels: Any) -> dict[str, Any] | None:
    """Return what a kernel model must keep to name its training cases: no identifiers.

    ``row``: for each modality of a late fusion, else for "", the examination of each of the
    solver's rows; ``label``: of each examination.
    """
    if model.solver not in KERNEL_SOLVERS:
        return None
    count = len(next(iter(rows.blocks.values())).present)
    owner = np.arange(count) if rows.owner is None else rows.owner
    known = {"": owner}
    if model.fusion == "late":
        known |= {name: owner[block.present] for name, block in rows.blocks.items()}
    return {"row": known, "label": labels}


def _labels(model: Any) -> Any:
    labels = model.cases_["label"]
    return model.classes_[labels] if hasattr(model, "classes_") else labels


def _known(model: Any) -> Any:
    """Return which training rows a machine knows."""
    machine = model.solver_
    if getattr(machine, "component_indices_", None) is not None:
        return machine.component_indices_
    support = model.solver == "svm" and model.fusion != "kernel"
    return machine.support_ if support else slice(None)


def _kernel(model: Any, blocks: Mapping[str, Block]) -> Any:
    """Return the kernel of rows with those that the machine knows."""
    fused, machine = model.fusion_.transform(blocks), model.solver_
    if model.fusion == "kernel":
        return fused
    return rbf_kernel(fused, machine.X_fit_, gamma=float(machine.gamma_)).astype(float)


def _means(values: Any, owner: Any, count: int) -> Any:
    """Return the mean rows of each owner, NaN where one has none."""
    total, times = np.zeros((count, values.shape[1])), np.bincount(owner, minlength=count)
    np.add.at(total, owner, values)
    return np.where(times[:, None] > 0, total / np.maximum(times, 1)[:, None], np.nan)
