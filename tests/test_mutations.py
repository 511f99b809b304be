"""Mutated files: from every call a value or one of our errors, soon, in little memory.

Bits flip, bytes go, come and repeat, files are cut and spliced, lengths become extreme and
tags change places. The normal run takes 2,000 files; ``FASTMM_MUTATIONS=50000`` takes more.
Each run is a process of its own, whose peak of memory is its own too.
"""

from __future__ import annotations

import faulthandler
import gzip
import io
import logging
import os
import random
import resource
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_files import BIRTH, PATIENT, PATIENT_ID, image, write
from enhanced_files import enhanced, group, measures, place, rescale, turned
from harness import ROOT, run_python
from mutations import mutated
from nifti_files import nifti
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

import fastmm
from fastmm.errors import FastmmError
from fastmm.loading.rows import load_rows

COUNT = int(os.environ.get("FASTMM_MUTATIONS", "2000"))
SHAPE = (40, 36)
SECRETS = (PATIENT, PATIENT_ID, BIRTH, "SECRET")
BATCH = 24  # files of one call, enough for the compiled lanes
SECONDS, KILOBYTES = 2.0, 500_000
KINDS = {"i": image(1, SHAPE), "u": image(1, SHAPE, low=0).astype(np.uint16)}


def _native(path: Path, syntax: str) -> None:
    pixels = KINDS["i"]
    if syntax == ExplicitVRBigEndian:
        write(path, pixels, syntax=syntax, PixelData=pixels.astype(">i2").tobytes())
    else:
        write(path, pixels, syntax=syntax, PixelPaddingValue=-500)


def _rle(path: Path) -> None:
    ds = pydicom.dcmread(write(path, KINDS["i"]))
    ds.compress(RLELossless)
    ds.save_as(path)


def _coded(path: Path, syntax: str, data: bytes) -> None:
    write(path, KINDS["u"], BitsStored=12, HighBit=11)
    ds = pydicom.dcmread(path)
    ds.PixelData = encapsulate([data])
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(path)


def _jpeg_2000(path: Path) -> None:
    from openjpeg.utils import encode_array

    data = encode_array(KINDS["u"] % 4096, bits_stored=12, photometric_interpretation=2)
    _coded(path, JPEG2000Lossless, bytes(data))


def _jpeg_ls(path: Path) -> None:
    import jpeg_ls

    data = jpeg_ls.encode_buffer((KINDS["u"] % 4096).tobytes(), *SHAPE, 1, 12, interleave_mode=0)
    _coded(path, JPEGLSLossless, bytes(data))


def _frames(path: Path, syntax: str) -> None:
    each = [group(place(z), rescale(s)) for z, s in ((9, 2), (1, 0.5), (5, 3))]
    stack = np.stack([image(i, SHAPE) for i in range(3)])
    enhanced(path, each, [turned(), measures()], stack=stack, syntax=syntax)


def _nifti(path: Path, pack: Callable[[bytes], bytes]) -> None:
    voxels = np.stack([image(i, SHAPE).T for i in range(3)], axis=-1)
    data = bytearray(nifti(voxels, qform_code=1, qoffset=[10, 20, 30], scl_slope=2.5))
    data[148 : 148 + len(PATIENT)] = PATIENT.encode()  # its description
    path.write_bytes(pack(bytes(data)))


def _png(path: Path) -> None:
    out = io.BytesIO()
    Image.fromarray((KINDS["u"] % 256).astype(np.uint8)).save(out, "PNG")
    path.write_bytes(out.getvalue())


#: Group: {file name: what makes it}.
GROUPS: dict[str, dict[str, Callable[[Path], None]]] = {
    "native": {
        "explicit.dcm": lambda p: _native(p, ExplicitVRLittleEndian),
        "implicit.dcm": lambda p: _native(p, ImplicitVRLittleEndian),
        "big.dcm": lambda p: _native(p, ExplicitVRBigEndian),
        "deflated.dcm": lambda p: _native(p, DeflatedExplicitVRLittleEndian),
        "frames.dcm": lambda p: _frames(p, ExplicitVRLittleEndian),
        "frames_implicit.dcm": lambda p: _frames(p, ImplicitVRLittleEndian),
    },
    "compressed": {
        "rle.dcm": _rle,
        **({"jpeg_2000.dcm": _jpeg_2000} if find_spec("openjpeg") else {}),
        **({"jpeg_ls.dcm": _jpeg_ls} if find_spec("jpeg_ls") else {}),
    },
    "others": {
        "a.nii": lambda p: _nifti(p, bytes),
        "a.nii.gz": lambda p: _nifti(p, gzip.compress),
        "a.png": _png,
    },
}
SHARES = {"native": 0.5, "compressed": 0.25, "others": 0.25}


class Watch:
    """Calls, each of them with a limit on its time and memory, and on what it says."""

    def __init__(self) -> None:
        self.base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.count: Counter[str] = Counter()
        self.slowest = 0.0
        self.log = io.StringIO()
        logging.basicConfig(stream=self.log, level=logging.DEBUG)

    def __call__(self, call: Callable[[], Any], report: list[Any] | None = None) -> Any:
        """Return what the call returns, or None after an error of ours."""
        faulthandler.dump_traceback_later(60, exit=True)
        busy, start, error, found = time.process_time(), time.perf_counter(), "", None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                found = call()
            except FastmmError as fault:
                error = str(fault)
                self.count[type(fault).__name__] += 1
            else:
                self.count["read"] += 1
        # Other processes may keep this one waiting; only its own work is held against it.
        busy, wall = time.process_time() - busy, time.perf_counter() - start
        faulthandler.cancel_dump_traceback_later()
        self.slowest = max(self.slowest, busy)
        assert busy < SECONDS, f"took {busy:.1f} s"
        assert wall < 10 * SECONDS, f"took {wall:.1f} s"
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - self.base
        assert grown < KILOBYTES, f"took {grown} kB"
        assert all(w.category is UserWarning for w in caught), [str(w.message) for w in caught]
        said = [error, *(str(w.message) for w in caught), *(str(f) for *_, f in report or [])]
        if isinstance(found, list):
            said += [problem for info in found for problem in info.problems]
        said.append(self.log.getvalue())
        assert not any(secret in text for text in said for secret in SECRETS), said
        assert all(isinstance(f, FastmmError) for *_, f in report or [])
        return found


def check_batch(paths: list[Path], watch: Watch) -> None:
    """Read files alone and together by every call; whatever is read is the same everywhere."""
    report: list[Any] = []
    skip = {"device": "cpu", "on_error": "skip"}
    together = watch(lambda: load_rows(paths, SHAPE, **skip, report=report), report)
    for path, rows in zip(paths, together.split(), strict=True):
        faults: list[Any] = []
        load = lambda p=path, f=faults: fastmm.load_images(p, SHAPE, **skip, report=f)  # noqa: E731
        alone = watch(load, faults)
        np.testing.assert_array_equal(alone, rows, path.name)
        raised = watch(lambda p=path: fastmm.load_images(p, SHAPE, device="cpu"))
        assert (raised is None) == bool(faults), path.name
        assert np.isfinite(alone).all() == (not faults), path.name
        volume = watch(lambda p=path: fastmm.read_volume(p))
        if volume is not None and raised is not None and volume.array.shape[-2:] == SHAPE:
            close = {"rtol": 0, "atol": 2e-6 * np.abs(volume.array).max()}
            np.testing.assert_allclose(raised, volume.array, **close, err_msg=path.name)
        watch(lambda p=path: fastmm.scan(p))
    watch(lambda: fastmm.scan(paths[0].parent))


def run(kind: str, count: int, seed: int) -> None:
    """Read `count` mutated files of a group, in the process this is called in."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, make in GROUPS[kind].items():
            make(folder / file)
        files = sorted(folder.iterdir())
        whole = [path.read_bytes() for path in files]
        assert fastmm.load_images(files * 9, SHAPE, device="cpu").size  # and compile the kernels
        watch = Watch()
        for start in range(0, count, BATCH):
            here = folder / str(start)
            here.mkdir()
            paths = []
            for n in range(start, min(count, start + BATCH)):
                which = rng.randrange(len(files))
                path = here / f"{n:06d}_{files[which].name}"
                path.write_bytes(mutated(rng, whole[which], whole))
                paths.append(path)
            try:
                check_batch(paths, watch)
            except BaseException:
                print(f"files {start} to {start + len(paths) - 1} of run({kind!r}, ..., {seed})")
                raise
            for path in paths:
                path.unlink()
            here.rmdir()
    print(dict(watch.count), f"slowest {watch.slowest:.2f} s")


@pytest.mark.parametrize("kind", GROUPS)
def test_mutations(kind):
    count = int(COUNT * SHARES[kind])
    code = f"from test_mutations import run; run({kind!r}, {count}, 0)"
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    said = run_python(code, PYTHONPATH=path, timeout=120 + count)
    print(said)
    assert "'read'" in said
    assert "Error'" in said
