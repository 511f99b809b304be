"""Names of groups, of any dtype, turned into numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm.solve._inputs import host

__all__ = ["encode_groups"]


def encode_groups(groups: Any, n: int) -> np.ndarray[Any, Any]:
    """Return the number of the group of each row, in order of appearance.

    Parameters
    ----------
    groups : array of shape (n,)
        Group of each row, of any dtype.
    n : int
        Number of rows.

    Returns
    -------
    array of shape (n,), intp, on the host
        Number of the group of each row, from 0.

    Raises
    ------
    ValueError
        If `groups` has another length, or a name is empty or missing.

    Examples
    --------
    >>> encode_groups(["b", "a", "b"], 3)
    array([0, 1, 0])
    """
    names = host(groups, "groups")
    if names.shape != (n,):
        raise ValueError(
            f"`groups` must name the group of each of the {n} samples, got shape {names.shape}."
        )
    missing = _missing(names)
    if missing.any():
        raise ValueError(
            f"`groups` must name a group for each sample, got {int(missing.sum())} empty or "
            f"missing of {n}, the first at index {int(missing.argmax())}."
        )
    if names.dtype == object:
        # By equality, since objects of mixed types cannot be sorted.
        seen: dict[Any, int] = {}
        return np.array([seen.setdefault(name, len(seen)) for name in names.tolist()], np.intp)
    _, first, codes = np.unique(names, return_index=True, return_inverse=True)
    rank = np.empty_like(first)
    rank[np.argsort(first)] = np.arange(first.size)
    ordered: np.ndarray[Any, Any] = rank[codes]
    return ordered


def _missing(names: np.ndarray[Any, Any]) -> Any:
    if names.dtype.kind in "fcmM":
        return np.isnan(names) if names.dtype.kind in "fc" else np.isnat(names)
    if names.dtype.kind in "OUST":
        return np.array([_is_missing(name) for name in names.tolist()], bool)
    return np.zeros(names.shape, bool)


def _is_missing(name: Any) -> bool:
    if name is None or (isinstance(name, (str, bytes)) and not name.strip()):
        return True
    unequal = name != name  # NaN and NaT; pandas' NA answers with NA
    return unequal is not False and not (isinstance(unequal, np.bool_) and not unequal)
