"""Read DICOM files: slices into a batch, and the headers of a folder. Files are in the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastmm
from fastmm.read.dicom.heads import read_headers

CENTER, WIDTH, SIDE = 40.0, 400.0, 128
# Slices, side: the crops that curated collections hold, and what scanners send.
SIZES = [pytest.param((1024, 200), id="200"), pytest.param((512, 512), id="512")]
SMALL = (20, 64)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def bench_load(timed: Any, pick: Any, folder: Any, size: tuple[int, int], device: str) -> None:
    need(device)
    n, side = pick(size, SMALL)
    paths = folder(n, side)
    timed(
        lambda: fastmm.load_images(paths, (SIDE, SIDE), window=(CENTER, WIDTH), device=device),
        group=load_group(n, side),
        on="GPU" if device == "cuda" else "CPU",
        bytes=n * (side * side * 2 + SIDE * SIDE * 4),
        files=n,
        check=lambda out: error_of(host(out), paths),
        tolerance=2e-6,
    )


@pytest.mark.parametrize("size", SIZES)
def bench_load_pydicom(timed: Any, pick: Any, folder: Any, size: tuple[int, int]) -> None:
    # As most people write it.
    pydicom, cv2 = need_peer("pydicom"), need_peer("cv2")
    n, side = pick(size, SMALL)
    paths = folder(n, side)

    def loop() -> np.ndarray:
        out = np.empty((n, SIDE, SIDE), np.float32)
        for path, target in zip(paths, out, strict=True):
            slice_ = pydicom.dcmread(path)
            image = slice_.pixel_array.astype(np.float32)
            image = image * float(slice_.RescaleSlope) + float(slice_.RescaleIntercept)
            image = np.clip((image - (CENTER - WIDTH / 2)) / WIDTH, 0, 1)
            cv2.resize(image, (SIDE, SIDE), dst=target)
        return out

    timed(
        loop,
        group=load_group(n, side),
        peer="pydicom and OpenCV",
        bytes=n * (side * side * 2 + SIDE * SIDE * 4),
        files=n,
        check=lambda out: error_of(out, paths),
        tolerance=2e-6,
    )


@pytest.mark.parametrize("size", SIZES)
def bench_load_simpleitk(timed: Any, pick: Any, folder: Any, size: tuple[int, int]) -> None:
    sitk, cv2 = need_peer("SimpleITK"), need_peer("cv2")
    n, side = pick(size, SMALL)
    paths = folder(n, side)

    def loop() -> np.ndarray:
        out = np.empty((n, SIDE, SIDE), np.float32)
        for path, target in zip(paths, out, strict=True):
            image = sitk.GetArrayFromImage(sitk.ReadImage(path))[0].astype(np.float32)
            image = np.clip((image - (CENTER - WIDTH / 2)) / WIDTH, 0, 1)
            cv2.resize(image, (SIDE, SIDE), dst=target)
        return out

    timed(
        loop,
        group=load_group(n, side),
        peer="SimpleITK and OpenCV",
        bytes=n * (side * side * 2 + SIDE * SIDE * 4),
        files=n,
        check=lambda out: error_of(out, paths),
        tolerance=2e-6,
    )


@pytest.mark.parametrize("size", SIZES)
def bench_load_raw(timed: Any, pick: Any, folder: Any, size: tuple[int, int]) -> None:
    # No reader can be faster on one thread: open, read and close, and the bytes are dropped.
    n, side = pick(size, SMALL)
    paths = folder(n, side)

    def loop() -> int:
        total = 0
        for path in paths:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123
                total += len(file.read())
        return total

    timed(
        loop,
        group=load_group(n, side),
        peer="bytes alone, one thread",
        bytes=n * side * side * 2,
        files=n,
        check=lambda total: float(total < n * side * side * 2),
    )


def bench_volume(timed: Any, pick: Any, folder: Any) -> None:
    n, side = pick((256, 512), SMALL)
    paths = folder(n, side)
    path = Path(paths[0]).parent
    timed(
        lambda: fastmm.read_volume(path),
        group=volume_group(n, side),
        files=n,
        check=lambda found: volume_error(found.array, paths),
    )


def bench_volume_simpleitk(timed: Any, pick: Any, folder: Any) -> None:
    sitk = need_peer("SimpleITK")
    n, side = pick((256, 512), SMALL)
    paths = folder(n, side)

    def series() -> np.ndarray:
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(Path(paths[0]).parent)))
        return sitk.GetArrayFromImage(reader.Execute())

    timed(
        series,
        group=volume_group(n, side),
        peer="SimpleITK",
        files=n,
        check=lambda found: volume_error(found, paths),
    )


def bench_headers(timed: Any, pick: Any, folder: Any) -> None:
    n, side = pick((512, 512), SMALL)
    paths = [Path(path) for path in folder(n, side)]
    timed(
        lambda: list(read_headers(paths)),
        group=f"headers of {n} CT slices",
        files=n,
        check=lambda found: float([h.path for h in found] != paths),
    )


def bench_headers_pydicom(timed: Any, pick: Any, folder: Any) -> None:
    pydicom = need_peer("pydicom")
    n, side = pick((512, 512), SMALL)
    paths = folder(n, side)
    timed(
        lambda: [pydicom.dcmread(path, stop_before_pixels=True) for path in paths],
        group=f"headers of {n} CT slices",
        peer="pydicom",
        files=n,
        check=lambda found: float(len(found) != n),
    )


def volume_group(n: int, side: int) -> str:
    return f"read a volume of {n} CT slices {side} x {side}"


def volume_error(found: np.ndarray, paths: list[str]) -> float:
    from pydicom import dcmread

    assert len(found) == len(paths)
    data = dcmread(paths[-1])
    expected = data.pixel_array * float(data.RescaleSlope) + float(data.RescaleIntercept)
    return float(np.abs(found[-1] - expected).max())


def load_group(n: int, side: int) -> str:
    return f"load {n} CT slices {side} x {side} -> {SIDE} x {SIDE}"


def error_of(found: np.ndarray, paths: list[str]) -> float:
    """Compare the first and the last image with float64 arithmetic on pydicom's pixels."""
    from bench_resizing import neighbours
    from pydicom import dcmread

    worst = 0.0
    for row in (0, -1):
        data = dcmread(paths[row])
        x = data.pixel_array * float(data.RescaleSlope) + float(data.RescaleIntercept)
        x = np.clip((x - (CENTER - WIDTH / 2)) / WIDTH, 0, 1)
        first, second, weight = neighbours(x.shape[0], SIDE)
        x = x[first] * (1 - weight)[:, None] + x[second] * weight[:, None]
        x = x[:, first] * (1 - weight) + x[:, second] * weight
        worst = max(worst, float(np.abs(found[row] - x).max()))
    return worst


def host(array: Any) -> np.ndarray:
    return array.get() if hasattr(array, "get") else array


def need(device: str) -> None:
    if device == "cuda":
        from fastmm.bench.machine import gpu_fault

        fault = gpu_fault()
        if fault is not None:
            pytest.skip(f"no usable GPU: {fault}")


def need_peer(module: str) -> Any:
    return pytest.importorskip(module, reason=f"{module} is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a function that writes n CT slices with headers as a scanner writes them."""
    known: dict[tuple[int, int], list[str]] = {}

    def make(n: int, side: int) -> list[str]:
        if (n, side) not in known:
            target = tmp_path_factory.mktemp(f"ct{side}")
            known[n, side] = write_slices(target, n, side)
        return known[n, side]

    return make


def write_slices(target: Path, n: int, side: int) -> list[str]:
    # A real header of 2003 with private elements, from pydicom's own test files.
    from pydicom import dcmread
    from pydicom.data import get_testdata_file

    data = dcmread(get_testdata_file("CT_small.dcm"))
    rng = np.random.default_rng(0)
    data.Rows = data.Columns = side
    paths = []
    for z in range(n):
        data.ImagePositionPatient = [-158.1, -179.0, round(-75.7 + 1.25 * z, 4)]
        data.InstanceNumber = z + 1
        data.SOPInstanceUID = f"1.3.6.1.4.1.5962.1.1.1.1.{z}"
        data.PixelData = rng.integers(0, 2500, (side, side), np.int16).tobytes()
        path = target / f"{z:05}.dcm"
        data.save_as(path)
        paths.append(str(path))
    return paths
