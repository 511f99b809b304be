"""Tables of Huffman codes of JPEG, as kernels take them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastmm.read.codecs.codestream import CodestreamError

__all__ = ["default_codes", "define_codes"]

_COUNTS, _SYMBOLS = 16, 256
# ITU-T T.81, Tables K.3 to K.6: what frames of motion JPEG leave out, and decoders assume.
_DEFAULT = """
00 00010501010101010100000000000000 000102030405060708090a0b
10 0002010303020403050504040000017d
 01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25
 262728292a3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a83
 8485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3
 d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa
01 00030101010101010101010000000000 000102030405060708090a0b
11 00020102040403040705040400010277
 000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718
 191a262728292a35363738393a434445464748494a535455565758595a636465666768696a737475767778797a
 82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9ca
 d2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa
"""


def default_codes() -> NDArray[np.uint8]:
    """Return the tables that hold until a JPEG defines its own.

    Returns
    -------
    ndarray of shape (8, 272), uint8
        Four tables for DC coefficients (or differences) and four for AC coefficients: how
        many codes have 1 to 16 bits, and the symbols. Tables without codes are zeros.

    Examples
    --------
    >>> default_codes()[0, :16].sum()
    np.uint64(12)
    """
    tables = np.zeros((8, _COUNTS + _SYMBOLS), np.uint8)
    define_codes(tables, bytes.fromhex(_DEFAULT))
    return tables


def define_codes(tables: NDArray[np.uint8], content: bytes) -> None:
    """Put the tables that a segment (DHT) defines in their places.

    Parameters
    ----------
    tables : ndarray of shape (8, 272), uint8
        As from `default_codes`.
    content : bytes
        Of the segment.

    Raises
    ------
    CodestreamError
        If it is cut, or names a table that there is not.

    Examples
    --------
    >>> define_codes(default_codes(), bytes([0x10, 1]))
    Traceback (most recent call last):
    ...
    fastmm.read.codecs.codestream.CodestreamError: its Huffman tables are damaged
    """
    while content:
        kind, counts = content[0], content[1 : 1 + _COUNTS]
        number = sum(counts)
        symbols = content[1 + _COUNTS :][:number]
        if kind & 0xEC or len(counts) != _COUNTS or len(symbols) != number or number > _SYMBOLS:
            raise CodestreamError("its Huffman tables are damaged")
        row = (counts + symbols).ljust(tables.shape[1], b"\0")
        tables[(kind >> 4) * 4 + (kind & 3)] = np.frombuffer(row, np.uint8)
        content = content[1 + _COUNTS + number :]
