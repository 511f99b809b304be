"""Results as strict JSON values, their parts checked before anything is written."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from datetime import date
from typing import Any, TypeGuard

import numpy as np

__all__ = ["check_results", "complete", "is_number", "to_json"]

_MAPPINGS = ("cohort", "validation", "chosen", "predictions", "settings", "environment")
_LISTS = (
    "roc",
    "contributions",
    "stages",
    "comparisons",
    "by_class",
    "subgroups",
    "calibration",
    "learning_curves",
)


def check_results(results: Any) -> dict[str, Any]:
    """Return `results` as plain JSON values, its required parts being there."""
    if not isinstance(results, Mapping):
        raise TypeError(f"`results` must be a mapping, got {type(results).__name__}.")
    tree: dict[str, Any] = to_json(results, "results")
    for part, kind in (("title", str), ("scores", list)):
        if not isinstance(tree.get(part), kind):
            raise ValueError(f"`results` must have {part!r}, a {kind.__name__}.")
    for i, row in enumerate(tree["scores"]):
        if not isinstance(row, dict) or not {"model", "features"} <= row.keys():
            raise ValueError(f"`results['scores'][{i}]` must have 'model' and 'features'.")
    whole = complete(tree)
    for name in _MAPPINGS:
        if not isinstance(whole[name], dict):
            raise ValueError(f"`results[{name!r}]` must be a mapping.")
    for name in _LISTS:
        rows = whole[name]
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError(f"`results[{name!r}]` must be a list of mappings.")
    for i, curve in enumerate(whole["roc"]):
        _check_pair(curve, "fpr", "tpr", f"results['roc'][{i}]")
    _check_pair(whole["predictions"], "label", "score", "results['predictions']")
    return tree


def complete(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tree with every optional part there, if only an empty one."""
    mappings = {name: tree.get(name) or {} for name in _MAPPINGS}
    return {**tree, **mappings, **{name: tree.get(name) or [] for name in _LISTS}}


def to_json(value: Any, where: str) -> Any:
    """Return `value` in the terms of strict JSON: NaN and infinity become None."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (str, os.PathLike)):
        # A file name may hold bytes that are no UTF-8; Python keeps them as surrogates.
        return os.fspath(value).encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {to_json(str(k), where): to_json(v, f"{where}[{k!r}]") for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item, f"{where}[{i}]") for i, item in enumerate(value)]
    raise TypeError(f"`{where}` must be text, a number, a list or a mapping, got {type(value)}.")


def is_number(value: Any) -> TypeGuard[float]:
    """Say whether a JSON value is a number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_pair(part: Mapping[str, Any], first: str, second: str, where: str) -> None:
    """Refuse a part whose two columns are no lists of one length."""
    columns = [part.get(first) or [], part.get(second) or []]
    if not all(isinstance(c, list) for c in columns) or len(columns[0]) != len(columns[1]):
        raise ValueError(f"`{where}` must have {first!r} and {second!r} of the same length.")
