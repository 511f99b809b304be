"""Scans under masks within a limit of memory, which their headers are measured against."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from contextlib import nullcontext

import nibabel
import numpy as np
import pytest
from dicom_files import write
from PIL import Image

import fastmm
from fastmm._space import Space
from fastmm.cohort import read_cohort
from fastmm.errors import FastmmError
from fastmm.findings.features import extract_blocks
from fastmm.regions.cropping import read_region
from fastmm.regions.memory import region_bytes
from fastmm.streams.limits import check_limit

SHAPE = (24, 96, 80)
MODALITIES = {
    "patches": fastmm.ImageModality((32, 32), window=(0, 500)),
    "statistics": fastmm.ImageModality((32, 32), normalize="zscore", features="statistics"),
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Write one scan and its mask in four formats."""
    folder = tmp_path_factory.mktemp("pairs")
    scan = np.random.default_rng(0).integers(-500, 500, SHAPE).astype(np.int16)
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:-1, 3:90, 5:78] = 1
    affine = np.diag([-0.75, -0.5, 2.5, 1.0])
    affine[:3, 3] = 10, 20, 30
    nibabel.save(nibabel.Nifti1Image(scan.T, affine), folder / "scan.nii.gz")
    nibabel.save(nibabel.Nifti1Image(mask.T, affine), folder / "mask.nii.gz")
    for z in range(len(scan)):
        write(
            folder / "series" / f"{z}.dcm", scan[z], ImagePositionPatient=[-10, -20, 30 + 2.5 * z]
        )
        for name, image in (("pictures", scan[z].astype(np.uint8)), ("marks", mask[z])):
            (folder / name).mkdir(exist_ok=True)
            Image.fromarray(image).save(folder / name / f"{z}.png")
    write(folder / "frames.dcm", scan, NumberOfFrames=len(scan))
    return {
        "NIfTI": (folder / "scan.nii.gz", folder / "mask.nii.gz"),
        "series": (folder / "series", folder / "mask.nii.gz"),
        "frames": (folder / "frames.dcm", folder / "marks"),
        "pictures": (folder / "pictures", folder / "marks"),
    }


@pytest.mark.parametrize("features", sorted(MODALITIES))
@pytest.mark.parametrize("kind", ["NIfTI", "series", "frames", "pictures"])
def test_what_is_counted_is_what_is_taken(pairs, kind, features):
    path, mask = pairs[kind]
    modality = MODALITIES[features]
    read_region(path, mask, modality, Space("cpu"))  # imports are no part of it
    tracemalloc.start()
    read_region(path, mask, modality, Space("cpu"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.5 * region_bytes(path, mask, modality) < peak <= region_bytes(path, mask, modality)


@pytest.mark.parametrize("kind", ["NIfTI", "series", "frames", "pictures"])
def test_a_limit_bounds_a_volume_under_its_mask(pairs, kind):
    pair, modality = pairs[kind], MODALITIES["patches"]
    with pytest.raises(ValueError, match="a scan and its mask are read as wholes") as caught:
        modality.extract([None, pair], memory_limit="100kB")
    least = str(caught.value).split("at least ")[1].split(" ")[0]
    assert check_limit(least) >= region_bytes(*pair, modality) > 6 * np.prod(SHAPE)
    found = modality.extract([None, pair, pair], memory_limit=least)
    np.testing.assert_array_equal(found.values, modality.extract([None, pair, pair]).values)


def test_a_scan_that_cannot_be_read_is_so_under_a_limit_too(pairs, tmp_path):
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(pairs["NIfTI"][0].read_bytes()[:60])
    for pair in ((broken, pairs["NIfTI"][1]), (pairs["NIfTI"][0], broken)):
        for limit in (None, "1GB"):
            with pytest.raises(FastmmError, match=r"broken\.nii\.gz"):
                MODALITIES["patches"].extract([pair], memory_limit=limit)
    with pytest.raises(FileNotFoundError):
        MODALITIES["patches"].extract([(tmp_path / "none", broken)], memory_limit="1GB")


@pytest.mark.parametrize("limit", [None, 50_000_000])
def test_pictures_keep_no_batch_alive(tmp_path, monkeypatch, limit):
    file = fastmm.datasets.make_cohort(tmp_path / "c", 4, seed=1)
    cohort = read_cohort(file, label="malignant", group="patient", images=["ct"])
    batches = []

    def extract(self, data, **options):
        batches.extend(weakref.ref(one) for one in data.images)
        batches.extend(weakref.ref(one.base) for one in data.images if one.base is not None)
        return fastmm.blocks.Block(np.zeros((len(data.images), 1)), np.ones(len(data.images), bool))

    monkeypatch.setattr(fastmm.ImageModality, "extract", extract)
    silent = lambda name: lambda done, total: None  # noqa: E731
    watch = lambda name: nullcontext(type("Stage", (), {"images": 0, "size": 0}))  # noqa: E731
    modality = fastmm.ImageModality((16, 16))
    _, pictures = extract_blocks(cohort, {"ct": modality}, "cpu", watch, silent, 2, limit)
    gc.collect()
    assert [picture.shape for picture in pictures["ct"]] == [(16, 16)] * 2
    assert len(batches) >= 4
    assert all(batch() is None for batch in batches)
