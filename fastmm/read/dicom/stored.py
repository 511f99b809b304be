"""From containers of bits to stored pixels: integers or floats, looked up, frames in order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm.read.dicom.header import Header
from fastmm.read.dicom.layout import Layout
from fastmm.read.dicom.pixels import extend, valid_mask

__all__ = ["stored_pixels"]


def stored_pixels(
    header: Header, containers: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Return stored pixels (frames, rows, columns), and False where one is padding, or None.

    NaN and infinities of float pixels stay: whoever asked for the values decides.
    """
    layout = header.layout
    if layout.floating:
        stored = containers.view(f"f{layout.allocated // 8}")
        valid = _valid_floats(stored, layout)
    else:
        stored = extend(containers, layout)
        valid = valid_mask(containers, stored, layout)
    if header.lookup is not None:
        stored = header.lookup.apply(stored)
    if header.order is not None:
        stored = stored[header.order]
        valid = None if valid is None else valid[header.order]
    return stored, valid


def _valid_floats(stored: NDArray[Any], layout: Layout) -> NDArray[np.bool_] | None:
    if layout.float_padding is None:
        return None
    low, high = layout.float_padding
    # The standard lets padding be NaN, which equals nothing.
    valid = ~np.isnan(stored) if np.isnan(low) else ~((stored >= low) & (stored <= high))
    return None if valid.all() else valid
