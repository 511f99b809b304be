"""JPEG streams by Pillow and by an encoder of their definition, and what refuses them."""

from __future__ import annotations

import io
import struct
from itertools import product

import numpy as np
from PIL import Image

from fastmm.read.codecs.codestream import CodestreamError
from fastmm.read.codecs.entropy import check_entropy

END = b"\xff\xd9"
SCAN = b"\xff\xda"


def jpeg(pixels: np.ndarray, **options) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", **options)
    return out.getvalue()


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def refused(data: bytes) -> bool:
    try:
        check_entropy(data)
    except CodestreamError:
        return True
    return False


# -- What is right ------------------------------------------------------------------------

OPTIONS = [{}, {"optimize": True}, {"progressive": True}, {"restart_marker_blocks": 2},
           {"progressive": True, "restart_marker_rows": 1}]  # fmt: skip


# -- Lossless JPEG by an encoder of our own -------------------------------------------------


class Bits:
    """Bits of entropy-coded data, FF stuffed; the codes are the numbers 0 to 16 of five bits."""

    def __init__(self):
        self.done, self.text = b"", ""

    def put(self, value: int, width: int) -> None:
        self.text += f"{value:0{width}b}" if width else ""

    def difference(self, value: int) -> None:
        size = 16 if value == 1 << 15 else abs(value).bit_length()
        self.put(size, 5)
        if 0 < size < 16:
            self.put(value if value > 0 else value + (1 << size) - 1, size)

    def close(self, filling: str = "1", marker: bytes = b"") -> None:
        text = self.text + filling * (-len(self.text) % 8)
        whole = bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))
        self.done += whole.replace(b"\xff", b"\xff\0") + marker
        self.text = ""


def guess(predictor: int, row: int, column: int, plane: np.ndarray) -> int:
    """Predict a sample by the table of ITU-T T.81, H.1.2.1."""
    a, b = int(plane[row, column - 1]), int(plane[row - 1, column])
    c = int(plane[row - 1, column - 1])
    rules = [a, b, c, a + b - c, a + (b - c) // 2, b + (a - c) // 2, (a + b) // 2]
    return rules[predictor - 1]


def lossless(pixels, bits, predictor=1, shift=0, interval=0, filling="1"):
    """Encode (rows, columns, samples); `interval` counts rows."""
    pixels = pixels >> shift
    rows, columns, n = pixels.shape
    out = Bits()
    for row in range(rows):
        first = row == 0 or (interval and row % interval == 0)
        if row and first:
            out.close(filling, bytes([0xFF, 0xD0 + (row // interval - 1) % 8]))
        for column, i in product(range(columns), range(n)):
            plane = pixels[..., i]
            if column == 0:
                expected = 1 << (bits - shift - 1) if first else int(plane[row - 1, 0])
            elif first:
                expected = int(plane[row, column - 1])
            else:
                expected = guess(predictor, row, column, plane)
            step = (int(plane[row, column]) - expected) % 65536
            out.difference(step - 65536 if step > 32768 else step)
    out.close(filling)
    header = struct.pack(">BHHB", bits, rows, columns, n)
    header += b"".join(bytes([i + 1, 0x11, 0]) for i in range(n))
    parts = b"".join(bytes([i + 1, 0]) for i in range(n))
    scan = bytes([n]) + parts + bytes([predictor, 0, shift])
    codes = bytes([0, 0, 0, 0, 0, 17, *[0] * 11, *range(17)])
    return (
        b"\xff\xd8"
        + segment(0xC4, codes)
        + segment(0xC3, header)
        + (segment(0xDD, struct.pack(">H", interval * columns)) if interval else b"")
        + segment(0xDA, scan)
        + out.done
        + END
    )
