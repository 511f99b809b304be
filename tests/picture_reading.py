"""Pictures written by Pillow and read by the package."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from fastmm.read.pictures.volumes import read_picture, read_picture_header


def write(folder, content, name="picture"):
    path = folder / name
    path.write_bytes(content)
    return path


def read(path, **options):
    return read_picture(read_picture_header(path), **options).stored


def encoded(image, kind, **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def wedge(rows=24, columns=40):
    """A picture no two turns of which are alike."""
    y, x = np.mgrid[:rows, :columns]
    return (3 * x + 5 * y).astype(np.uint8)
