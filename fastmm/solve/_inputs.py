"""What every estimator does with its arguments before it computes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from fastmm._check import finite, number
from fastmm._space import Space, enter
from fastmm.solve.chunked.base import Rows
from fastmm.solve.chunked.rows import gathered, in_memory, rows_of

__all__ = [
    "Training",
    "grid",
    "host",
    "rank_warning",
    "take_new",
    "take_rows",
    "take_training",
    "take_weight",
]


class Training(NamedTuple):
    """Checked training data; `y` is float64 (n, targets), or host labels (n,)."""

    space: Space
    X: Any
    y: Any
    weight: Any  # float64 (n,) or None
    own: bool = False  # whether X was read for this fit, so that nobody else will change it

    def host_weight(self) -> np.ndarray[Any, Any] | None:
        """Return the weights on the host."""
        return None if self.weight is None else self.space.to_host(self.weight)


def take_training(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    labels: bool = False,
    reset: bool = True,
    chunks: bool = False,
) -> Training:
    """Check what came to ``fit`` and bring it to where X lives; sets n_features_in_.

    Without `reset`, X must have as many features as the estimator has seen. With `chunks`,
    rows that are to be read in chunks come as `Rows`; without, they are read into memory
    where a kernel matrix of them fits beside.
    """
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, "
            "but the target y is None."
        )
    limit = getattr(estimator, "memory_limit", None)
    if (rows := rows_of(X, limit)) is not None:
        if chunks:
            return _take_chunks(estimator, rows, y, sample_weight, labels)
        X = gathered(rows, estimator)
    y = _host_labels(y) if labels else _as_array(y, "y")
    weight = _as_array(sample_weight, "sample_weight")
    space, given, _ = enter(
        X=X if _speaks(X) else np.empty(0), y=None if labels else y, sample_weight=weight
    )
    checked = _check_rows(estimator, X, given[0], space, reset=reset)
    y = y if labels else _check_targets(given[1], space.xp)
    if y.shape[0] != checked.shape[0]:
        raise ValueError(
            "Found input variables with inconsistent numbers of samples: "
            f"{[checked.shape[0], y.shape[0]]}"
        )
    return Training(space, checked, y, _check_weight(given[2], checked.shape[0], space.xp))


def _take_chunks(estimator: Any, rows: Rows, y: Any, sample_weight: Any, labels: bool) -> Training:
    """Check all but the values of X, which the first pass over its rows looks at."""
    space, n = rows.space, rows.shape[0]
    y, weight = in_memory(y), in_memory(sample_weight)
    y = _host_labels(y) if labels else _as_array(y, "y")
    weight = _as_array(weight, "sample_weight")
    _, given, _ = enter(X=space.xp.empty(0), y=None if labels else y, sample_weight=weight)
    y = y if labels else _check_targets(given[1], space.xp)
    if y.shape[0] != n:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: {[n, y.shape[0]]}"
        )
    _note_columns(estimator, rows)
    return Training(space, rows, y, _check_weight(given[2], n, space.xp))


def _note_columns(estimator: Any, rows: Rows) -> None:
    estimator.n_features_in_ = rows.shape[1]
    if rows.names is not None:
        estimator.feature_names_in_ = np.asarray(rows.names, object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_


def take_new(estimator: Any, X: Any, **fitted: Any) -> tuple[Space, Any, Any]:
    """Check what came to ``predict``: fitted, as many features, on the same device."""
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(estimator)
    space, given, leave = enter(X=X if _speaks(X) else np.empty(0), **fitted)
    return space, _check_rows(estimator, X, given[0], space, reset=False), leave


def take_rows(estimator: Any, X: Any) -> tuple[Space, Any]:
    """Check what came to the ``fit`` of a transformer; rows in chunks come as `Rows`."""
    if (rows := rows_of(X, getattr(estimator, "memory_limit", None))) is not None:
        _note_columns(estimator, rows)
        return rows.space, rows
    space, (native,), _ = enter(X=X if _speaks(X) else np.empty(0))
    return space, _check_rows(estimator, X, native, space, reset=True)


def take_weight(weight: Any, n: int, space: Space) -> Any:
    """Check the weights of `n` rows that live in `space`."""
    weight = _as_array(in_memory(weight), "sample_weight")
    _, (_, weight), _ = enter(X=space.xp.empty(0), sample_weight=weight)
    return _check_weight(weight, n, space.xp)


def host(array: Any, name: str) -> np.ndarray[Any, Any]:
    """Copy labels or group names, which may be strings, to the host."""
    if isinstance(array, np.ndarray) or not _speaks(array):
        return np.asarray(array)
    space, (native,), _ = enter(**{name: array})
    return space.to_host(native)


def grid(
    values: Any, name: str, *, minimum: float = -np.inf, above: float = -np.inf
) -> list[float]:
    """Return the candidate values of a hyperparameter as a non-empty list of floats."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        values = [values]
    checked = [
        number(value, f"{name}[{i}]", minimum=minimum, above=above)
        for i, value in enumerate(values)
    ]
    if not checked:
        raise ValueError(f"`{name}` must hold at least one value, got none.")
    return checked


def rank_warning(rank: int, features: int, *, stacklevel: int = 3) -> None:
    """Say that alpha = 0 met a design without full column rank."""
    import warnings

    from scipy.linalg import LinAlgWarning

    warnings.warn(
        f"The design has rank {rank} for {features} features and alpha is 0: many solutions fit "
        "equally well, and the one of least norm is returned. Give a positive `alpha`.",
        LinAlgWarning,
        stacklevel=stacklevel,
    )


def _speaks(array: Any) -> bool:
    # Lists, data frames and sparse matrices are scikit-learn's to read, or to refuse.
    return hasattr(array, "__dlpack__") or type(array).__module__.startswith(
        ("numba.cuda", "numba_cuda")
    )


def _as_array(array: Any, name: str) -> Any:
    if array is None or _speaks(array):
        return array
    try:
        return np.asarray(array)
    except ValueError as error:
        raise ValueError(f"`{name}` does not form an array: {error}.") from None


def _host_labels(y: Any) -> np.ndarray[Any, Any]:
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import column_or_1d

    if not _speaks(y) and not hasattr(y, "__len__"):
        y = _as_array(y, "y")
    _refuse_mixed(y)
    labels = column_or_1d(y if not _speaks(y) else host(y, "y"), warn=True)
    finite(labels, "y", np)
    check_classification_targets(labels)
    return labels  # type: ignore[no-any-return]


def _refuse_mixed(y: Any) -> None:
    # NumPy would turn the numbers of a list into texts, and cannot sort those of an array.
    if isinstance(y, (list, tuple)) or str(getattr(y, "dtype", "")) == "object":
        kinds = {type(label) for label in np.ravel(np.array(y, object))}
        if len({issubclass(kind, str) for kind in kinds}) > 1:
            names = ", ".join(sorted(kind.__name__ for kind in kinds))
            raise TypeError(f"`y` must hold labels of one type, got a mix of {names}.")


def _check_rows(estimator: Any, X: Any, native: Any, space: Space, *, reset: bool) -> Any:
    if space.kind == "cuda":
        _check_device_rows(estimator, native, reset)
        finite(native, "X", space.xp)
        return native
    from sklearn.utils.validation import check_array, validate_data

    given = native if _speaks(X) else X
    checked = check_array(
        given, dtype="numeric", ensure_all_finite=False, estimator=estimator, input_name="X"
    )
    finite(checked, "X", np)
    validate_data(estimator, given, reset=reset, skip_check_array=True)
    return checked


def _check_device_rows(estimator: Any, X: Any, reset: bool) -> None:
    # scikit-learn reads host arrays only; these are its checks, in its words.
    name = type(estimator).__name__
    if X.ndim != 2:
        raise ValueError(f"Expected 2D array, got {X.ndim}D array instead.")
    if X.dtype.kind == "c":
        raise ValueError("Complex data not supported")
    for axis, what in enumerate(("sample", "feature")):
        if X.shape[axis] == 0:
            raise ValueError(
                f"Found array with 0 {what}(s) (shape={tuple(X.shape)}) while a minimum of 1 "
                f"is required by {name}."
            )
    if reset:
        estimator.n_features_in_ = X.shape[1]
        if hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
    elif X.shape[1] != estimator.n_features_in_:
        raise ValueError(
            f"X has {X.shape[1]} features, but {name} is expecting "
            f"{estimator.n_features_in_} features as input."
        )


def _check_targets(y: Any, xp: Any) -> Any:
    if isinstance(y, np.ndarray):
        from sklearn.utils.validation import check_array

        y = check_array(
            y, ensure_2d=False, dtype="numeric", ensure_all_finite=False, input_name="y"
        )
    if y.ndim not in (1, 2) or y.dtype.kind == "c":
        raise ValueError(
            f"`y` must be real, of shape (n,) or (n, targets), got {y.dtype} {tuple(y.shape)}."
        )
    finite(y, "y", xp)
    return y


def _check_weight(weight: Any, n: int, xp: Any) -> Any:
    if weight is None:
        return None
    if weight.ndim == 0:
        weight = xp.broadcast_to(weight, (n,))
    if weight.shape != (n,):
        raise ValueError(
            f"`sample_weight` must be 1D, of shape ({n},), got shape {tuple(weight.shape)}."
        )
    if weight.dtype.kind not in "biuf":
        raise ValueError(f"`sample_weight` must hold numbers, got dtype {weight.dtype}.")
    weight = weight.astype(np.float64)
    finite(weight, "sample_weight", xp)
    if bool((weight < 0).any()):
        raise ValueError(
            f"`sample_weight` must not be negative, got {int((weight < 0).sum())} negative of {n}."
        )
    if not bool((weight > 0).any()):
        raise ValueError("`sample_weight` must not be zero for every sample.")
    return weight
