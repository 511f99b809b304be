"""Names for people of the DICOM transfer syntaxes, and whether one can be decoded here."""

from __future__ import annotations

from importlib.util import find_spec

from fastmm.read.codecs.choosing import CODECS, PACKAGES

__all__ = ["missing_decoder", "syntax_name"]

_NATIVE = {
    "1.2.840.10008.1.2": "uncompressed, implicit VR",
    "1.2.840.10008.1.2.1": "uncompressed",
    "1.2.840.10008.1.2.1.99": "deflated",
    "1.2.840.10008.1.2.2": "uncompressed, big endian",
}


def syntax_name(uid: str) -> str:
    """Name a transfer syntax, by its UID where it has no name."""
    return _NATIVE.get(uid) or (CODECS[uid].name if uid in CODECS else uid)


def missing_decoder(uid: str) -> str:
    """Name the packages of which one is needed for a transfer syntax; "" if none lacks."""
    decoders = dict.fromkeys(CODECS[uid].decoders.values()) if uid in CODECS else {}
    if not decoders or any(find_spec(PACKAGES[decoder][0]) for decoder in decoders):
        return ""
    return " or ".join(PACKAGES[decoder][1] for decoder in decoders)
