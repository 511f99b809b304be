"""The Modality LUT: a table that stands for slope and intercept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm.read.dicom.tags import Tags, label

__all__ = ["Lookup", "read_lookup"]


@dataclass(frozen=True, eq=False)
class Lookup:
    """A table of values for the stored pixels from `first` on.

    Attributes
    ----------
    first : int
        The stored value that the first entry stands for.
    table : ndarray of uint8 or uint16
        What becomes of each stored value.
    bits : int
        Number of bits of an entry.
    kind : str
        ModalityLUTType: "HU", "OD", "US" (unspecified), ...

    Examples
    --------
    >>> lookup = Lookup(-1, np.array([5, 7, 9], np.uint16), 16, "US")
    >>> lookup.apply(np.array([-30, -1, 0, 1, 30], np.int16)).tolist()
    [5, 5, 7, 9, 9]
    """

    first: int
    table: NDArray[Any]
    bits: int
    kind: str

    def apply(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Look stored pixels up.

        Parameters
        ----------
        stored : ndarray of integers
            The stored pixels.

        Returns
        -------
        ndarray of uint8 or uint16, same shape
            Values before and behind the table take its first and last entry.
        """
        wide = np.int32 if stored.itemsize <= 2 else np.int64
        place = np.subtract(stored, self.first, dtype=wide)
        found: NDArray[Any] = self.table[np.clip(place, 0, self.table.size - 1, out=place)]
        return found


def read_lookup(tags: Tags, *, signed: bool) -> Lookup | None:
    """Read the Modality LUT of a file.

    Parameters
    ----------
    tags : Tags
        Of the file.
    signed : bool
        Whether the stored pixels are: it says how the first entry is to be read.

    Returns
    -------
    Lookup or None
        None where the file has none.

    Raises
    ------
    DicomError
        If there is a rescale besides, or the table is not what its descriptor says.

    References
    ----------
    DICOM PS3.3, C.11.1.1 Modality LUT attributes.

    Examples
    --------
    >>> from pathlib import Path
    >>> read_lookup(Tags(Path("a.dcm"), {}, little_endian=True), signed=False) is None
    True
    """
    items = tags.items("ModalityLUTSequence")
    if not items:
        return None
    if len(items) > 1:
        raise tags.fault("ModalityLUTSequence", f"must have one item, got {len(items)}")
    for name in ("RescaleSlope", "RescaleIntercept"):
        if tags.filled(name):
            raise tags.fault(
                "ModalityLUTSequence", f"and {label(name)} are both there, and exclude each other"
            )
    item = items[0]
    descriptor = item.value("LUTDescriptor") or b""
    if len(descriptor) != 6:
        raise item.fault(
            "LUTDescriptor", f"must be three 16-bit integers, got {len(descriptor)} bytes"
        )
    # Its VR is US or SS by chance; only the middle value is ever meant to be signed.
    count, first, bits = (
        int.from_bytes(descriptor[i : i + 2], item.order, signed=signed and i == 2)
        for i in (0, 2, 4)
    )
    if not 8 <= bits <= 16:
        raise item.fault("LUTDescriptor", f"must have entries of 8 to 16 bits, got {bits}")
    table = _table(item, count or 1 << 16, bits)
    return Lookup(first, table, bits, item.text("ModalityLUTType"))


def _table(item: Tags, count: int, bits: int) -> NDArray[Any]:
    data = item.value("LUTData") or b""
    little = item.order == "little"
    if len(data) == 2 * count:
        table = np.frombuffer(data, "<u2" if little else ">u2").astype(np.uint16)
        if bits < 16 and int(table.max()) >> bits:
            raise item.fault("LUTData", f"has entries of more than the {bits} bits it says")
        return table
    if bits == 8 and little and len(data) == count + count % 2:
        return np.frombuffer(data, np.uint8)[:count]
    raise item.fault("LUTData", f"must have {count} entries, got {len(data)} bytes")
