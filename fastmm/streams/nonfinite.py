"""NaN and infinity in rows that come part by part: counted, and refused at the end."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Nonfinite"]


class Nonfinite:
    """Values that are NaN or infinite: how many, and where the first is.

    Examples
    --------
    >>> bad = Nonfinite()
    >>> bad.among(np.array([1.0, np.nan]), start=4)
    True
    >>> bad.among(np.ones(3), start=6)  # there are some so far
    True
    """

    def __init__(self) -> None:
        self._count = 0
        self._first: tuple[int, ...] = (0,)

    def among(self, values: Any, start: int) -> bool:
        """Count those of the rows from `start` on; say whether there are any so far."""
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(values.sum()):
                return self._count > 0
        bad = ~np.isfinite(values)
        if self._count == 0 and bad.any():
            at = [int(i) for i in np.unravel_index(int(bad.argmax()), values.shape)]
            self._first = (start + at[0], *at[1:])
        self._count += int(bad.sum())
        return self._count > 0

    def refuse(self, name: str, size: int) -> None:
        """Raise the error, if there are any."""
        if self._count == 0:
            return
        first = self._first if len(self._first) > 1 else self._first[0]
        raise ValueError(
            f"`{name}` contains NaN or infinity: {self._count} of {size} values, the first at "
            f"index {first}. Fill or drop them first."
        )
