"""Batches of images: the one pass against read, window and resize done one by one."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
from dicom_files import image, write, write_series

from fastmm.errors import DicomError
from fastmm.image.resizing import resize
from fastmm.loading.batch import load_images
from fastmm.loading.rows import load_rows
from fastmm.read.reading import read_volume


def _expected(values: np.ndarray, shape: tuple[int, int], window=None) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if window is not None:
        center, width = window
        values = np.clip((values - (center - width / 2)) / width, 0, 1)
    cv2 = pytest.importorskip("cv2")
    return cv2.resize(values, shape[::-1], interpolation=cv2.INTER_LINEAR)


def _close(found, expected) -> None:
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize("window", [None, (40, 400), (-600, 1500.5), (0, 1)])
@pytest.mark.parametrize("shape", [(4, 7), (6, 5), (1, 1), (13, 3)])
def test_one_pass_is_the_chain(tmp_path, window, shape):
    pixels = image(0, (6, 5))
    path = write(tmp_path / "a.dcm", pixels, RescaleSlope=2, RescaleIntercept=-24)
    found = load_images(path, shape, window=window, device="cpu")
    assert found.shape == (1, *shape)
    _close(found[0], _expected(pixels * 2.0 - 24, shape, window))


@pytest.mark.parametrize("shape", [(4, 7), (6, 5), (13, 3)])
@pytest.mark.parametrize(
    ("interpolation", "antialias"),
    [("nearest", False), ("cubic", False), ("area", False), ("linear", True), ("cubic", True)],
)
def test_every_interpolation_is_that_of_resize(tmp_path, interpolation, antialias, shape):
    stack = write_series(tmp_path, 10, RescaleSlope=2, RescaleIntercept=-24)
    options = {"interpolation": interpolation, "antialias": antialias}
    found = load_images(tmp_path, shape, window=(40, 800), device="cpu", **options)
    values = np.clip((stack * 2.0 - 24 - (40 - 400)) / 800, 0, 1)
    _close(found, resize(values, shape, **options))


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4"])
def test_every_type_of_pixel(tmp_path, kind):
    limits = np.iinfo(kind)
    pixels = np.random.default_rng(0).integers(limits.min, limits.max, (9, 8), kind, endpoint=True)
    path = write(tmp_path / "a.dcm", pixels, RescaleSlope="0.001", RescaleIntercept=3)
    _close(load_images(path, (5, 6), device="cpu")[0], _expected(pixels * 0.001 + 3, (5, 6)))


def test_monochrome1_is_inverted(tmp_path):
    pixels = image(low=0, high=256).astype(np.uint8)
    path = write(tmp_path / "a.dcm", pixels, Modality="CR", PhotometricInterpretation="MONOCHROME1")
    _close(load_images(path, (3, 3), device="cpu")[0], _expected(255.0 - pixels, (3, 3)))


def test_rows_are_in_order_of_paths_and_positions(tmp_path):
    first = write_series(tmp_path / "a", 5)
    second = np.stack([image(50 + z, (9, 4)) for z in range(2)])
    for z in range(2):
        write(tmp_path / "b" / f"{1 - z}.dcm", second[z], ImagePositionPatient=[0, 0, z],
              Modality="PT", RescaleSlope=z + 1)  # fmt: skip
    single = write(tmp_path / "c.dcm", image(77))
    rows = load_rows([tmp_path / "b", str(tmp_path / "a"), single], (4, 4), device="cpu")
    assert rows.counts == (2, 5, 1)
    assert rows.n_bytes == 2 * 9 * 4 * 2 + 6 * 6 * 5 * 2
    parts = rows.split()
    assert [len(part) for part in parts] == [2, 5, 1]
    for z in range(2):
        _close(parts[0][z], _expected(second[z] * (z + 1.0), (4, 4)))
    for z in range(5):
        _close(parts[1][z], _expected(first[z], (4, 4)))
    _close(parts[2][0], _expected(image(77), (4, 4)))
    again = load_images([tmp_path / "b", tmp_path / "a", single], (4, 4), device="cpu")
    np.testing.assert_array_equal(again, rows.array)


def test_mixed_shapes_and_types_keep_their_rows(tmp_path):
    pixels = [image(z, (6 + z % 3, 5)) for z in range(12)]
    pixels = [p.astype(np.uint16) % 999 if z % 2 else p for z, p in enumerate(pixels)]
    paths = [write(tmp_path / f"{z}.dcm", p) for z, p in enumerate(pixels)]
    found = load_images(paths, (4, 4), device="cpu")
    for z in range(12):
        _close(found[z], _expected(pixels[z], (4, 4)))


def test_real_series(real_data):
    folders = [real_data / "sts" / "STS_001" / name for name in ("ct", "pet", "mr_t1")]
    rows = load_rows(folders, (64, 48), device="cpu")
    assert rows.counts == (8, 8, 8)
    for folder, part in zip(folders, rows.split(), strict=True):
        volume = read_volume(folder).array
        for z in range(8):
            expected = _expected(volume[z], (64, 48))
            np.testing.assert_allclose(part[z], expected, atol=2e-6 * np.abs(volume).max())


def test_a_tilt_and_gaps_do_not_matter_to_slices(real_data):
    assert load_images(real_data / "dicom_ct_gantry_tilt", (8, 8), device="cpu").shape[0] == 28


@pytest.mark.parametrize("slope", [2, -2])
def test_padding_holds_the_lowest_valid_value_before_the_resize(tmp_path, slope):
    pixels = image(low=-900)
    pixels[:3, :2] = -2000
    path = write(tmp_path / "a.dcm", pixels, PixelPaddingValue=-2000, RescaleSlope=slope)
    values = pixels * float(slope)
    values[pixels == -2000] = values[pixels != -2000].min()
    _close(load_images(path, (4, 3), device="cpu")[0], _expected(values, (4, 3)))


def test_nothing_but_padding(tmp_path):
    path = write(tmp_path / "a.dcm", np.full((4, 4), -2000, np.int16), PixelPaddingValue=-2000)
    with pytest.raises(DicomError, match="every pixel is padding"):
        load_images(path, (2, 2), device="cpu")


def test_colour_by_channel(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    path = write(tmp_path / "a.dcm", rgb[..., 0], PixelData=rgb.tobytes(), SamplesPerPixel=3,
                 PhotometricInterpretation="RGB", PlanarConfiguration=0, Modality="OT")  # fmt: skip
    with pytest.raises(DicomError, match="channel="):
        load_images(path, (4, 6), device="cpu")
    np.testing.assert_array_equal(
        load_images(path, (4, 6), channel=1, device="cpu")[0], rgb[..., 1]
    )


def _normalize_by_hand(images, method, *, mask=None):
    assert method == "zscore"
    assert np.isfinite(images).all()
    axes = (1, 2)
    return (images - images.mean(axes, keepdims=True)) / images.std(axes, keepdims=True)


def test_normalize_comes_last(tmp_path, monkeypatch):
    module = types.ModuleType("fastmm.image.intensity")
    module.normalize = _normalize_by_hand
    monkeypatch.setitem(sys.modules, "fastmm.image.intensity", module)
    write_series(tmp_path, 3)
    plain = load_images(tmp_path, (5, 4), window=(0, 500), device="cpu")
    found = load_images(tmp_path, (5, 4), window=(0, 500), normalize="zscore", device="cpu")
    np.testing.assert_allclose(found, _normalize_by_hand(plain, "zscore"), atol=1e-6)
