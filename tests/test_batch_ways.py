"""Ways to read a batch, compiled, decoded, in chunks or on a device, give one result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import image, write, write_series

from fastmm.kernels import _files
from fastmm.loading import device as on_device
from fastmm.loading import filling, runs
from fastmm.loading import rows as batch_rows
from fastmm.loading.batch import load_images
from fastmm.loading.rows import load_rows


def _mixed(folder: Path) -> list[Path]:
    """Write what makes all kinds of runs: series, frames, colour, padding, cut bits."""
    write_series(folder / "a", 20)
    write_series(folder / "b", 3, Modality="MR", PixelPaddingValue=int(image(1)[2, 3]))
    frames = np.stack([image(z) for z in range(40)])
    write(folder / "c.dcm", frames, NumberOfFrames=40)
    write(folder / "d.dcm", image(low=0, high=256).astype(np.uint8))
    write(folder / "e.dcm", image(2, (9, 4)), BitsStored=12, HighBit=11)
    write(folder / "f.dcm", image(3).astype("u4"))
    return [folder / name for name in ("a", "c.dcm", "d.dcm", "b", "e.dcm", "f.dcm")]


@pytest.mark.parametrize("options", [{}, {"window": (40, 400)}, {"normalize": "zscore"}])
def test_the_compiled_way_changes_nothing(tmp_path, monkeypatch, options):
    paths = _mixed(tmp_path)
    compiled = load_rows(paths, (5, 5), device="cpu", **options)
    assert compiled.array.shape == (66, 5, 5)
    monkeypatch.setattr(_files, "READS", False)
    decoded = load_rows(paths, (5, 5), device="cpu", **options)
    np.testing.assert_array_equal(compiled.array, decoded.array)
    assert compiled.n_bytes == decoded.n_bytes
    assert compiled.units == decoded.units


def test_short_series_of_many_kinds_share_a_call(tmp_path, monkeypatch):
    kinds = ["i2", "u1", "u2"]
    for n in range(70):
        pixels = image(n, (5 + n // 4 % 3, 4 + n // 4 % 5), 0, 256).astype(kinds[n // 4 % 3])
        write(
            tmp_path / f"{n:02}.dcm",
            pixels,
            RescaleSlope=1 + n / 8,
            SeriesInstanceUID=f"1.{n // 4}",
        )
    paths = sorted(tmp_path.iterdir())
    paths.insert(9, write(tmp_path / "wide.dcm", image(1).astype("u4")))
    monkeypatch.setattr(runs, "CORES", 1)
    calls: list[int] = []
    original = filling.load_plain
    monkeypatch.setattr(
        filling,
        "load_plain",
        lambda out, runs, options: calls.append(len(runs)) or original(out, runs, options),
    )
    compiled = load_rows(paths, (6, 6), device="cpu")
    assert max(calls) == 4
    monkeypatch.setattr(_files, "READS", False)
    decoded = load_rows(paths, (6, 6), device="cpu")
    np.testing.assert_array_equal(compiled.array, decoded.array)
    assert compiled.n_bytes == decoded.n_bytes


def test_common_files_take_the_compiled_way(tmp_path, monkeypatch):
    paths = _mixed(tmp_path)
    decoded: list[Path] = []
    original = filling.read_filled
    monkeypatch.setattr(
        filling,
        "read_filled",
        lambda source, *more: decoded.append(source.path) or original(source, *more),
    )
    load_images(paths, (5, 5), device="cpu")
    assert [path.name for path in decoded] == ["f.dcm"]


@pytest.mark.parametrize("chunk", [1, 300, 64 << 20])
@pytest.mark.parametrize("options", [{}, {"window": (40, 400)}, {"normalize": "minmax"}])
def test_chunks_of_a_device_change_nothing(tmp_path, monkeypatch, options, chunk):
    # The way to a GPU, with host memory in its place.
    paths = _mixed(tmp_path)
    expected = load_rows(paths, (5, 5), device="cpu", **options)
    monkeypatch.setattr(on_device, "_CHUNK_BYTES", chunk)
    monkeypatch.setattr(batch_rows, "fill_rows", on_device.fill_device_rows)
    found = load_rows(paths, (5, 5), device="cpu", **options)
    np.testing.assert_array_equal(found.array, expected.array)
    assert found.n_bytes == expected.n_bytes


@pytest.mark.gpu
@pytest.mark.parametrize("xp_any", ["cupy"], indirect=True)
@pytest.mark.parametrize("options", [{}, {"window": (40, 400)}, {"normalize": "zscore"}])
@pytest.mark.parametrize("chunk", [5_000, 64 << 20])
def test_the_gpu_agrees(tmp_path, monkeypatch, xp_any, options, chunk):
    paths = [*_mixed(tmp_path), tmp_path / "none.dcm"]
    monkeypatch.setattr(on_device, "_CHUNK_BYTES", chunk)
    there = load_rows(paths, (16, 12), device="cuda", on_error="skip", **options)
    here = load_rows(paths, (16, 12), device="cpu", on_error="skip", **options)
    assert there.counts == here.counts
    assert there.n_bytes == here.n_bytes
    atol = 1e-6 * np.nanmax(np.abs(here.array))
    np.testing.assert_allclose(xp_any.asnumpy(there.array), here.array, rtol=0, atol=atol)
