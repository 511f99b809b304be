"""NIfTI that lies or misses something: right from every public call, or one clear error."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from input_cases import Cases, every_call
from input_checks import check_case
from input_makers import (
    VOXELS,
    nii,
)
from nifti_files import RIGID

from fastmm.errors import (
    GeometryError,
    LimitError,
    NiftiError,
)

CASES = Cases()
ok, bad = CASES.ok, CASES.bad


def volume_of(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj, float).transpose(2, 1, 0)


def of_nibabel(path: Path) -> np.ndarray:
    return np.diag([-1, -1, 1, 1]) @ nibabel.load(path).affine


for name in ("a.nii", "a.nii.gz"):
    for slope in (0.0, np.nan, 2.5, -1):
        ok(f"NIfTI slope {slope} {name}", nii(name, scl_slope=slope, scl_inter=3), volume_of,
           affine=of_nibabel)  # fmt: skip
    bad(f"NIfTI slope infinite {name}", nii(name, scl_slope=np.inf), "scl_slope", NiftiError)
    bad(f"NIfTI 4-D {name}", nii(name, np.zeros((4, 3, 2, 2), np.int16)), "2 time points.*time=",
        NiftiError, problem="2 time points")  # fmt: skip
    bad(f"NIfTI complex {name}", nii(name, datatype=32, bitpix=64), "complex", NiftiError,
        problem="complex")  # fmt: skip
    for dim in ([0, 5, 4, 3], [3, 0, 4, 3], [3, -5, 4, 3], [9, 5, 4, 3]):
        bad(f"NIfTI {dim} {name}", nii(name, dim=[*dim, 1, 1, 1, 1]), r"dim\[", NiftiError,
            problem="dim")  # fmt: skip
    bad(f"NIfTI of more voxels {name}", nii(name, dim=[3, 500, 400, 300, 1, 1, 1, 1]),
        "is cut: expected", NiftiError)  # fmt: skip
    bad(f"NIfTI beyond the limit {name}", nii(name, dim=[3, 9999, 9999, 99, 1, 1, 1, 1]),
        "MAX_BYTES", LimitError, problem="MAX_BYTES")  # fmt: skip
    bad(f"NIfTI spacing 0 {name}", nii(name, srow_x=[0, 0, 0, 0]), "spacing of 0", GeometryError,
        problem="spacing")  # fmt: skip
    bad(f"NIfTI pixdim 0 {name}", nii(name, sform_code=0, pixdim=[1, 0, 3, 4, 1, 1, 1, 1]),
        r"pixdim\[1\]", GeometryError, problem="pixdim")  # fmt: skip
ok("NIfTI sform and qform differ", nii(qform_code=1, qoffset=[1, 2, 3]), volume_of,
   affine=of_nibabel, note="sform and qform differ", spacing=(4, 3, 2))  # fmt: skip
ok("NIfTI oblique", lambda d, n: (nibabel.Nifti1Image(VOXELS, RIGID).to_filename(d / "a.nii"),
                                  d / "a.nii")[1], volume_of, affine=of_nibabel)  # fmt: skip
SPOILT = VOXELS.astype(np.float32)
SPOILT[0, 0, :2] = np.nan, -np.inf
bad("NIfTI with NaN", nii(voxels=SPOILT), "2 of 60 values are NaN", NiftiError)
ok(
    "NIfTI with NaN filled",
    nii(voxels=SPOILT),
    np.where(np.isfinite(SPOILT), SPOILT, -3).transpose(2, 1, 0),
    both={"nonfinite": -3},
)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@every_call(CASES)
def test_every_call(case, n, tmp_path, good_slice, caplog):
    check_case(case, n, tmp_path, good_slice, caplog)
