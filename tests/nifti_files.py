"""Small NIfTI files for tests, right by default and wrong where asked."""

from __future__ import annotations

import struct

import nibabel
import numpy as np

RIGID = nibabel.affines.from_matvec(
    nibabel.eulerangles.euler2mat(0.3, -0.2, 0.5) @ np.diag([0.7, 0.9, 2.5]), [-20, 30, 4]
)
CODES = {"u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "i1": 256, "u2": 512, "u4": 768,
         "i8": 1024, "u8": 1280}  # fmt: skip
# Byte offset and format of the fields of a NIfTI-1 header.
FIELDS = {
    "sizeof_hdr": (0, "i"), "dim": (40, "8h"), "datatype": (70, "h"), "bitpix": (72, "h"),
    "pixdim": (76, "8f"), "vox_offset": (108, "f"), "scl_slope": (112, "f"),
    "scl_inter": (116, "f"), "xyzt_units": (123, "B"), "qform_code": (252, "h"),
    "sform_code": (254, "h"), "quatern": (256, "3f"), "qoffset": (268, "3f"),
    "srow_x": (280, "4f"), "srow_y": (296, "4f"), "srow_z": (312, "4f"), "magic": (344, "4s"),
}  # fmt: skip


def nifti(voxels, order="<", **fields):
    """Make a NIfTI-1 file of voxels (x, y, z, ...) byte by byte."""
    dim = [voxels.ndim, *voxels.shape] + [1] * (7 - voxels.ndim)
    values = {
        "sizeof_hdr": 348, "dim": dim, "datatype": CODES.get(voxels.dtype.str[1:], 0),
        "bitpix": 8 * voxels.itemsize, "pixdim": [1, 2, 3, 4, 1, 1, 1, 1], "vox_offset": 352,
        "sform_code": 1, "srow_x": [2, 0, 0, 10], "srow_y": [0, 3, 0, 20],
        "srow_z": [0, 0, 4, 30], "magic": b"n+1\0", "xyzt_units": 2, **fields,
    }  # fmt: skip
    head = bytearray(352)
    for name, value in values.items():
        offset, kind = FIELDS[name]
        value = value if isinstance(value, list) else [value]
        struct.pack_into(order + kind, head, offset, *value)
    raw = voxels.astype(voxels.dtype.newbyteorder(order)).tobytes(order="F")
    return bytes(head) + raw


def write(folder, content, name="a.nii"):
    path = folder / name
    path.write_bytes(content)
    return path


def save(folder, voxels, affine=None, name="a.nii", kind=nibabel.Nifti1Image, **changes):
    image = kind(voxels, np.eye(4) if affine is None else affine)
    for key, value in changes.items():
        image.header[key] = value
    path = folder / name
    image.to_filename(path)
    return path
