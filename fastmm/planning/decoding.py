"""How long it takes to decode a byte of a file's pixels, told from its header."""

from __future__ import annotations

from typing import Any

from fastmm.planning.rates import DECODE
from fastmm.read.codecs.choosing import CODECS, RLE

__all__ = ["coding_of", "decode_seconds"]

_DEFLATED = "1.2.840.10008.1.2.1.99"


def coding_of(header: Any) -> str:
    """Name how the pixels of a file are packed: "plain", "gzip", "JPEG 2000" and so on.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> coding_of(SimpleNamespace(kind="PNG")), coding_of(SimpleNamespace(syntax=RLE))
    ('PNG', 'RLE')
    """
    syntax = getattr(header, "syntax", None)
    if syntax is None:
        if hasattr(header, "kind"):
            return str(header.kind)
        return "gzip" if header.data_path.name.lower().endswith(".gz") else "plain"
    if syntax == RLE:
        return "RLE"
    if syntax == _DEFLATED:
        return "gzip"
    if syntax not in CODECS:
        return "plain"
    name = CODECS[syntax].name
    if name.startswith("HTJ2K"):
        return "JPEG 2000"
    return next((known for known in sorted(DECODE)[::-1] if name.startswith(known)), "JPEG")


def decode_seconds(header: Any) -> float:
    """Return seconds of a core of the reference machine for each decoded byte."""
    return DECODE.get(coding_of(header), DECODE["JPEG"])
