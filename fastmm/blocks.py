"""What modalities hand on: features before anything is fitted, and examinations as read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmm.features.table import Columns

__all__ = ["Block", "Examinations"]


@dataclass(frozen=True)
class Block:
    """Features of one modality before anything is fitted.

    Attributes
    ----------
    values : array of shape (rows, features), or Columns
        Image features, zeros where a row has none; or a table that is not yet encoded.
    present : bool array of shape (rows,)
        Which rows have the modality.
    """

    values: Any
    present: np.ndarray[Any, Any]

    def take(self, rows: Any) -> Block:
        """Return the block of some rows, given by index or mask."""
        values = self.values.take(rows) if isinstance(self.values, Columns) else self.values[rows]
        return Block(values, self.present[rows])


@dataclass(frozen=True)
class Examinations:
    """Images of several examinations, as a modality wants them.

    Attributes
    ----------
    images : list of array of shape (slices, h, w) or None
        One for each examination.
    units : str
        Unit of the files.
    n_bytes : int
        Bytes of pixel data that were read.
    """

    images: list[Any]
    units: str
    n_bytes: int
