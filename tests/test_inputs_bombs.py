"""Small files that promise, or unpack to, far more than fits cost no memory."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import nibabel
from dicom_files import image, write
from harness import run_python
from input_checks import SECRETS, refuses
from input_makers import (
    VOXELS,
    told,
)
from nifti_files import nifti
from picture_files import SIGNATURE, chunk, grey_tags, tiff
from pydicom.data import get_testdata_file
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    RLELossless,
)

from fastmm.errors import (
    PictureError,
)


def bombs(folder: Path) -> list[Path]:
    """Write small files that promise, or unpack to, far more than fits."""
    huge = b"\x09\x00\x01\x00OB\0\0" + struct.pack("<I", 1 << 30) + bytes(200 << 20)
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    packed = deflater.compress(huge) + deflater.flush()
    plain = write(folder / "deflated.dcm", syntax=DeflatedExplicitVRLittleEndian).read_bytes()
    start = 144 + struct.unpack("<I", plain[140:144])[0]
    (folder / "deflated.dcm").write_bytes(plain[:start] + packed)
    write(folder / "rows.dcm", Rows=65535, Columns=65535)
    write(folder / "frames.dcm", NumberOfFrames=2_000_000_000)
    write(folder / "many.dcm", image(shape=(1, 1)), NumberOfFrames=9_000_000)
    cut = (folder / "many.dcm").read_bytes()
    cut = told(RLELossless)(cut).replace(b"OW\0\0\x02\0\0\0", b"OW\0\0\xff\xff\xff\xff")
    (folder / "many.dcm").write_bytes(cut)
    jp2 = bytearray(Path(get_testdata_file("MR_small_jp2klossless.dcm")).read_bytes())
    siz = jp2.rindex(b"\xff\x4f\xff\x51") + 8
    jp2[siz : siz + 8] = struct.pack(">II", 65535, 65535)
    rows = jp2.index(b"\x28\0\x10\0US\x02\0") + 8
    columns = jp2.index(b"\x28\0\x11\0US\x02\0") + 8
    (folder / "contradicting.dcm").write_bytes(jp2)
    for size in (30000, 65535):
        jp2[siz : siz + 8] = struct.pack(">II", size, size)
        jp2[rows : rows + 2] = jp2[columns : columns + 2] = struct.pack("<H", size)
        (folder / f"stream{size}.dcm").write_bytes(jp2)
    (folder / "a.nii.gz").write_bytes(gzip.compress(nifti(VOXELS) + bytes(400 << 20), 1))
    dim = [3, 9999, 9999, 99, 1, 1, 1, 1]
    (folder / "b.nii.gz").write_bytes(gzip.compress(nifti(VOXELS, dim=dim)))
    dim = [3, 1, 1, 32767, 1, 1, 1, 1]
    (folder / "c.nii.gz").write_bytes(gzip.compress(nifti(VOXELS, dim=dim)))
    second = nibabel.Nifti2Header()
    second.set_data_dtype("u1")
    block = bytearray(second.binaryblock + bytes(4))
    struct.pack_into("<8q", block, 16, 3, 1, 1, 10**9, 1, 1, 1, 1)
    struct.pack_into("<q", block, 168, 544)
    (folder / "d.nii.gz").write_bytes(gzip.compress(bytes(block)))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 65535, 65535, 8, 0, 0, 0, 0))
    data = zlib.compress(bytes(300 << 20), 9)
    (folder / "a.png").write_bytes(SIGNATURE + header + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
    (folder / "b.png").write_bytes(SIGNATURE + header + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    packed = zlib.compress(bytes(300 << 20), 9)
    (folder / "a.tif").write_bytes(tiff([(grey_tags(65535, 65535, t259=(3, 8)), [packed])]))
    return sorted(folder.iterdir())


def test_bombs_cost_nothing(tmp_path):
    paths = [str(path) for path in bombs(tmp_path)]
    # The peak of a fresh process, over what the libraries take.
    code = f"""
        import resource
        import numpy as np
        import fastmm
        from fastmm.errors import FastmmError
        paths = {paths!r}
        good = {str(write(tmp_path / "good" / "a.dcm"))!r}
        fastmm.load_images([good] * 9, (4, 4), device="cpu")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for path in paths:
            for call in (fastmm.read_volume, lambda p: fastmm.load_images(p, (4, 4), device="cpu"),
                         lambda p: fastmm.load_images([p] + [good] * 9, (4, 4), device="cpu")):
                try:
                    call(path)
                except FastmmError as error:
                    print(type(error).__name__, path, error)
                else:
                    raise AssertionError(path)
            fastmm.scan(path)
            found = fastmm.load_images([good, path], (4, 4), device="cpu", on_error="skip")
            assert np.isfinite(found[0]).all() and np.isnan(found[1:]).all()
            used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            assert used < 200_000, (path, used)
    """
    said = run_python(code)
    for name in ("rows.dcm", "frames.dcm", "deflated.dcm", "stream65535.dcm", "stream30000.dcm",
                 "b.nii.gz", "d.nii.gz", "a.png", "a.tif"):  # fmt: skip
        assert f"LimitError {tmp_path / name}" in said
    assert not any(secret in said for secret in SECRETS)


def test_pages_that_share_their_tags_are_not_endless(tmp_path):
    pages = [(grey_tags(2, 2, t270=(2, [65] * 5)), [bytes(4)]) for _ in range(300)]
    data = tiff(pages)
    assert data.count(struct.pack("<HHI", 270, 2, 5)) == 300
    data = data.replace(struct.pack("<HHI", 270, 2, 5), struct.pack("<HHI", 270, 2, 200_000))
    path = tmp_path / "a.tif"
    path.write_bytes(data + bytes(300_000))
    refuses(path, PictureError, "breaks the rules")
