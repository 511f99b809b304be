"""What the frame header of a JPEG says of its components, and what its scans have brought."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmm.read.codecs.codestream import CodestreamError

__all__ = ["LOSSLESS", "PROGRESSIVE", "SEQUENTIAL", "Component", "Frame", "Progress"]

#: Second bytes of the markers of frames with Huffman codes.
SEQUENTIAL, PROGRESSIVE, LOSSLESS = (0xC0, 0xC1), 0xC2, 0xC3
_UNSENT = 255
_MOST_SHIFT = 13


class Component(NamedTuple):
    """A component of a frame.

    Attributes
    ----------
    number, name : int
        Its place in the frame header, and what it is called there.
    across, down : int
        Its sampling factors.
    steps : int
        Number of its table of quantisation.
    """

    number: int
    name: int
    across: int
    down: int
    steps: int


class Frame(NamedTuple):
    """A frame header.

    Attributes
    ----------
    process : int
        Second byte of its marker.
    precision, rows, columns : int
        Precision in bits.
    components : tuple of Component
        In their order.

    Examples
    --------
    >>> frame = Frame.read(0xC0, bytes([8, 0, 30, 0, 20, 1, 1, 0x11, 0]))
    >>> frame.size(frame.components)
    (4, 3)
    """

    process: int
    precision: int
    rows: int
    columns: int
    components: tuple[Component, ...]

    @classmethod
    def read(cls, marker: int, content: bytes) -> Frame:
        """Read the content of its segment; CodestreamError if it is damaged."""
        precision, rows, columns, n = struct.unpack_from(">BHHB", content)
        if len(content) != 6 + 3 * n:
            raise CodestreamError("its frame header has a wrong length")
        parts = struct.iter_unpack(">3B", content[6:])
        components = tuple(
            Component(i, name, size >> 4, size & 15, steps)
            for i, (name, size, steps) in enumerate(parts)
        )
        sides = {side for c in components for side in (c.across, c.down)}
        if not (sides and sides <= {1, 2, 3, 4} and rows and columns and 2 <= precision <= 16):
            raise CodestreamError("its frame header is damaged")
        return cls(marker, precision, rows, columns, components)

    def size(self, part: Sequence[Component]) -> tuple[int, int]:
        """Return rows and columns of the MCUs of a scan of these components.

        One component alone has no more blocks than it needs.
        """
        side = 1 if self.process == LOSSLESS else 8
        across = max(c.across for c in self.components)
        down = max(c.down for c in self.components)
        columns, rows = self.columns, self.rows
        if len(part) == 1:
            columns = -(-columns * part[0].across // across)
            rows = -(-rows * part[0].down // down)
            across = down = 1
        return -(-rows // (side * down)), -(-columns // (side * across))

    def pick(self, names: bytes) -> tuple[Component, ...]:
        """Return the components a scan names; CodestreamError if there are none."""
        part: list[Component] = []
        for name in names:
            # Some writers give all components one number, and mean them in their order.
            found = [c for c in self.components if c.name == name and c not in part]
            if not found:
                raise CodestreamError("a scan header names no component")
            part.append(found[0])
        return tuple(part)


class Progress:
    """Which bits of which coefficients are still to come.

    Parameters
    ----------
    frame : Frame
        All but progressive ones bring a component whole in one scan.

    Examples
    --------
    >>> frame = Frame.read(0xC0, bytes([8, 0, 8, 0, 8, 1, 1, 0x11, 0]))
    >>> progress = Progress(frame)
    >>> progress.take(frame.components, 0, 0, 0, 0)
    >>> progress.complete
    True
    """

    def __init__(self, frame: Frame) -> None:
        width = 64 if frame.process == PROGRESSIVE else 1
        # The lowest bit that has come.
        self._last: NDArray[np.uint8] = np.full((len(frame.components), width), _UNSENT, np.uint8)

    @property
    def complete(self) -> bool:
        """Whether all have come."""
        return not self._last.any()

    def take(self, part: Sequence[Component], low: int, high: int, before: int, after: int) -> None:
        """Take in a scan of coefficients `low` to `high` that goes from one bit to another.

        Each bit comes once, the highest ones together and first; else CodestreamError.
        """
        for component in part:
            last = self._last[component.number, low : high + 1]
            fits = after == before - 1 if before else after <= _MOST_SHIFT
            if not (fits and last.size == high + 1 - low and (last == (before or _UNSENT)).all()):
                raise CodestreamError("its scans do not make up the image")
            last[:] = after
