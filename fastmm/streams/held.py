"""What is in memory at a time while images are read in turn."""

from __future__ import annotations

__all__ = ["COPIES", "FILES", "FOLDERS"]

# Paths whose headers are in memory at a time; a folder may have hundreds of them.
FILES, FOLDERS = 512, 4
COPIES = 3  # of the stored pixels of a file, while a thread decodes and rescales them
