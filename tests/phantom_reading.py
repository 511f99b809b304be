"""The synthetic cohort read back with pydicom and the csv module alone."""

from __future__ import annotations

import csv

import pydicom

SMALL = {"slices": 3, "shape": (32, 32)}


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def read_slices(folder):
    """Read a series with pydicom, from the feet to the head."""
    files = [pydicom.dcmread(p) for p in sorted(folder.iterdir())]
    return sorted(files, key=lambda d: d.ImagePositionPatient[2])
