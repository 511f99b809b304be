"""Decoders of codestreams by name, each a native library; called in a worker process only.

Each takes the bytes of one codestream and returns its samples as stored: (rows, columns) or
(rows, columns, samples), in the smallest integers that hold them, with no change of colours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["DECODERS"]


def _load_pillow() -> Callable[[bytes, int, int, int], Any]:
    from PIL import Image

    def decode(data: bytes, rows: int, columns: int, samples: int) -> Any:
        # Both modes given, Pillow neither guesses what the file holds nor converts it.
        mode = "L" if samples == 1 else "RGB"
        return Image.frombytes(mode, (columns, rows), data, "jpeg", mode, mode).tobytes()

    return decode


def _load_libjpeg() -> Callable[[bytes, int, int, int], Any]:
    import imagecodecs

    def decode(data: bytes, rows: int, columns: int, samples: int) -> Any:
        colours = None if samples == 1 else "RGB"  # the same on both sides: no conversion
        return imagecodecs.jpeg8_decode(data, colorspace=colours, outcolorspace=colours)

    return decode


def _load_charls() -> Callable[[bytes, int, int, int], Any]:
    import jpeg_ls
    import numpy as np

    def decode(data: bytes, rows: int, columns: int, samples: int) -> Any:
        decoded, about = jpeg_ls.decode_buffer(data)
        if samples == 1 or about["interleave_mode"] != 0:
            return decoded
        size = 1 if about["bits_per_sample"] <= 8 else 2
        planes = np.frombuffer(decoded, f"<u{size}").reshape(samples, rows, columns)
        return np.moveaxis(planes, 0, -1)

    return decode


def _load_openjpeg() -> Callable[[bytes, int, int, int], Any]:
    from openjpeg.utils import decode as decode_array

    def decode(data: bytes, rows: int, columns: int, samples: int) -> Any:
        return decode_array(data, 0)

    return decode


#: Name: what imports the library and returns its decoder.
DECODERS: dict[str, Callable[[], Callable[[bytes, int, int, int], Any]]] = {
    "pillow": _load_pillow,
    "libjpeg": _load_libjpeg,
    "charls": _load_charls,
    "openjpeg": _load_openjpeg,
}
