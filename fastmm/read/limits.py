"""What reading may cost at most: set a name of this module to raise or lower its limit.

A file that asks for more is a LimitError before anything is allocated, or a DicomError where
a decoder goes too far.
"""

__all__ = [
    "DECODER_MEMORY",
    "DECODE_SECONDS",
    "INFLATED_HEADER",
    "MAX_BYTES",
    "MAX_EXPANSION",
    "START_SECONDS",
]

#: Most bytes the float32 image of one file, or one volume, may take.
MAX_BYTES = 4 << 30
#: Most bytes of a deflated DICOM file besides its pixels.
INFLATED_HEADER = 32 << 20
#: Most bytes of pixels for a byte of compressed data, in a file of over 32 MiB of pixels.
MAX_EXPANSION = 1000
#: Most seconds a decoder may take for one frame, for each 64 MiB of its pixels or part of it.
DECODE_SECONDS = 10.0
#: Most bytes of address space of a decoding process (where the system knows such a limit).
DECODER_MEMORY = 6 << 30
#: Most seconds that starting a decoding process, or importing a decoder in it, may take.
START_SECONDS = 60
