"""What a file of images is to those who need not know its format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Slice", "Source", "rescaled"]


class Source(Protocol):
    """What one file says about its images before a pixel is decoded.

    value = stored * slope + intercept; the frames are in the order of their places.
    """

    @property
    def path(self) -> Path:
        """The file."""
        ...

    @property
    def frames(self) -> int:
        """Number of images."""
        ...

    @property
    def slope(self) -> NDArray[np.float64]:
        """Factor of each image."""
        ...

    @property
    def intercept(self) -> NDArray[np.float64]:
        """Summand of each image."""
        ...

    @property
    def units(self) -> str:
        """Unit of the rescaled values."""
        ...

    @property
    def modality(self) -> str:
        """DICOM term, "" where unknown."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What the caller should be warned of."""
        ...


@dataclass(frozen=True, eq=False)
class Slice:
    """The stored pixels of one file with the header that gives them meaning.

    Attributes
    ----------
    header : Source
        Rescale and units; a DICOM `Header` has the geometry too.
    stored : ndarray of shape (frames, rows, columns), native byte order
        As stored: neither rescaled nor inverted. Integers, or floats where the file has them.
    valid : ndarray of bool, same shape, or None
        False where a pixel is padding; None where none is.
    n_bytes : int
        Bytes of pixel data read from the file.
    """

    header: Source
    stored: NDArray[Any]
    valid: NDArray[np.bool_] | None
    n_bytes: int

    def values(self) -> NDArray[np.float32]:
        """Return the rescaled pixels; computed in float64, rounded once to float32."""
        return rescaled(self.stored, self.header.slope, self.header.intercept)


def rescaled(
    stored: NDArray[Any], slope: NDArray[np.float64], intercept: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return stored * slope + intercept, a pair for each image, rounded once to float32."""
    shape = (-1, 1, 1)
    values = stored * slope.reshape(shape) + intercept.reshape(shape)
    return values.astype(np.float32)
