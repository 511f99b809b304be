"""Which decoder serves which transfer syntax, and which package brings it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from fastmm.errors import DicomError
from fastmm.read.codecs.codestream import Codestream
from fastmm.read.dicom.tags import label

__all__ = ["CODECS", "PACKAGES", "RLE", "Codec", "choose_decoder"]

RLE = "1.2.840.10008.1.2.5"


class Codec(NamedTuple):
    """A compressed transfer syntax.

    Attributes
    ----------
    name : str
        As people know it.
    lossless : bool
        Whether the stored integers come back exactly.
    decoders : dict of {(process, widest): str}
        Name of the decoder for a codestream of that process (see `Codestream`) with up to
        that many bits.
    """

    name: str
    lossless: bool
    decoders: dict[tuple[int, int], str]


#: Decoder: (module to look for, pip package that brings it, extra of fastmm or "").
PACKAGES = {
    "pillow": ("PIL", "Pillow", ""),
    "libjpeg": ("imagecodecs", "imagecodecs", "codecs"),
    "charls": ("jpeg_ls", "pyjpegls", "codecs"),
    "openjpeg": ("openjpeg", "pylibjpeg-openjpeg", "codecs"),
}
_BASELINE = {(0xC0, 8): "pillow", (0xC1, 8): "pillow"}
_EXTENDED = {**_BASELINE, (0xC1, 12): "libjpeg"}
_LOSSLESS = {(0xC3, 16): "libjpeg"}
_JPEG_LS = {(0xF7, 16): "charls"}
_JPEG_2000 = {(0x51, 32): "openjpeg"}
_STEM = "1.2.840.10008.1.2.4."

#: UID: codec. pylibjpeg's RLE, its JPEG-LS and GDCM are never used: of corrupt files they
#: accept half, hang, or abort the process.
CODECS = {
    RLE: Codec("RLE Lossless", True, {}),
    _STEM + "50": Codec("JPEG Baseline", False, _BASELINE),
    _STEM + "51": Codec("JPEG Extended", False, _EXTENDED),
    _STEM + "57": Codec("JPEG Lossless", True, _LOSSLESS),
    _STEM + "70": Codec("JPEG Lossless SV1", True, _LOSSLESS),
    _STEM + "80": Codec("JPEG-LS Lossless", True, _JPEG_LS),
    _STEM + "81": Codec("JPEG-LS Near-lossless", False, _JPEG_LS),
    _STEM + "90": Codec("JPEG 2000 Lossless", True, _JPEG_2000),
    _STEM + "91": Codec("JPEG 2000", False, _JPEG_2000),
    _STEM + "201": Codec("HTJ2K Lossless", True, _JPEG_2000),
    _STEM + "202": Codec("HTJ2K Lossless RPCL", True, _JPEG_2000),
    _STEM + "203": Codec("HTJ2K", False, _JPEG_2000),
}


def choose_decoder(path: Path, syntax: str, found: Codestream) -> str:
    """Return the name of the decoder for a codestream.

    Parameters
    ----------
    path : pathlib.Path
        Named in errors.
    syntax : str
        UID of the transfer syntax, one of `CODECS`.
    found : Codestream
        What the codestream says of itself.

    Returns
    -------
    str
        A key of `PACKAGES`.

    Raises
    ------
    DicomError
        If the codestream is not of the kind the transfer syntax says, or the package of
        the decoder is not installed.

    Examples
    --------
    >>> codestream = Codestream(b"", 0xC0, 16, 16, 1, 8)
    >>> choose_decoder(Path("a.dcm"), "1.2.840.10008.1.2.4.50", codestream)
    'pillow'
    """
    codec = CODECS[syntax]
    fitting = [
        decoder
        for (process, widest), decoder in codec.decoders.items()
        if process == found.process and 2 <= found.precision <= widest
    ]
    if not fitting:
        raise DicomError(
            f"{path}: {label('TransferSyntaxUID')} {syntax} ({codec.name}) contradicts the "
            f"codestream, whose marker is FF{found.process:02X} with {found.precision} bits."
        )
    module, package, extra = PACKAGES[fitting[0]]
    if find_spec(module) is None:
        mend = f'pip install "fastmm[{extra}]" brings it' if extra else "install it"
        raise DicomError(
            f"{path}: {label('TransferSyntaxUID')} {syntax} ({codec.name}) needs the package "
            f"{package}, which is not installed; {mend}."
        )
    return fitting[0]
