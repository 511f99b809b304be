"""Batches of images: the one pass against read, window and resize done one by one."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest
from dicom_files import SERIES, image, write, write_series

from fastmm.errors import DicomError, FastmmError, GeometryError
from fastmm.image.resizing import resize
from fastmm.kernels import _files
from fastmm.loading import device as on_device
from fastmm.loading import filling, runs
from fastmm.loading import rows as batch_rows
from fastmm.loading.batch import load_images
from fastmm.loading.rows import load_rows
from fastmm.read.reading import read_volume
from fastmm.read.rows import series_units


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


@pytest.mark.parametrize("device", [False, True])
def test_a_file_that_vanishes_after_its_header(tmp_path, monkeypatch, device):
    if device:
        monkeypatch.setattr(batch_rows, "fill_rows", on_device.fill_device_rows)
    write_series(tmp_path, 30)
    victim = sorted(tmp_path.iterdir())[4]
    original = batch_rows.plan_rows

    def plan(*args):
        made = original(*args)
        victim.write_bytes(victim.read_bytes()[:-10])
        return made

    monkeypatch.setattr(batch_rows, "plan_rows", plan)
    report: list[tuple[Path, int, Exception]] = []
    options = {"device": "cpu", "on_error": "skip", "report": report}
    found = load_images(tmp_path, (4, 4), **options)
    assert [path for path, *_ in report] == [victim]
    assert np.isnan(found).all(axis=(1, 2)).tolist() == [n == report[0][1] for n in range(30)]
    with pytest.raises(DicomError, match="cut"):
        load_images(tmp_path, (4, 4), device="cpu")


def test_units_are_those_of_each_path_in_order(tmp_path):
    write_series(tmp_path / "mr", 2, Modality="MR")
    write_series(tmp_path / "ct", 3)
    paths = [tmp_path / "mr", tmp_path / "ct", *sorted((tmp_path / "mr").iterdir())]
    expected = ("a.u.", "HU", "a.u.", "a.u.")
    assert tuple(series_units(path) for path in paths) == expected
    assert load_rows(paths, (4, 4), device="cpu").units == expected
    assert load_rows(paths, (4, 4), window=(0, 1), device="cpu").units == expected


def test_units_of_what_cannot_be_read(tmp_path):
    write_series(tmp_path / "ct", 2)
    bad = write(tmp_path / "bad.dcm", RescaleSlope=0)
    paths = [bad, tmp_path / "none", tmp_path / "ct"]
    rows = load_rows(paths, (4, 4), device="cpu", on_error="skip")
    assert rows.units == ("", "", "HU")
    (tmp_path / "ct" / "cut.dcm").write_bytes((tmp_path / "bad.dcm").read_bytes())
    assert load_rows(tmp_path / "ct", (4, 4), device="cpu", on_error="skip").units == ("HU",)
    (tmp_path / "empty").mkdir()
    for path, error in [
        (bad, DicomError),
        (tmp_path / "ct", DicomError),
        (tmp_path / "empty", DicomError),
        (tmp_path / "none", FileNotFoundError),
    ]:
        with pytest.raises(error):
            series_units(path)


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


def test_errors_are_raised(tmp_path):
    write_series(tmp_path / "a")
    bad = write(tmp_path / "bad.dcm", RescaleSlope=0)
    with pytest.raises(DicomError, match="RescaleSlope"):
        load_images([tmp_path / "a", bad], (4, 4), device="cpu")
    with pytest.raises(FileNotFoundError):
        load_images([tmp_path / "a", tmp_path / "none"], (4, 4), device="cpu")
    write(tmp_path / "a" / "zz.dcm", SeriesInstanceUID=SERIES + ".2")
    with pytest.raises(DicomError, match="2 groups"):
        load_images(tmp_path / "a", (4, 4), device="cpu")


def test_skip_never_changes_the_number_of_rows(tmp_path):
    stack = write_series(tmp_path / "a", 4)
    cut = write(tmp_path / "a" / "cut.dcm", ImagePositionPatient=[-10, -20, 40])
    cut.write_bytes(cut.read_bytes()[:-4])
    write_series(tmp_path / "two", 2)
    write(tmp_path / "two" / "zz.dcm", SeriesInstanceUID=SERIES + ".2")
    padded = write(tmp_path / "p.dcm", np.full((4, 4), -9, np.int16), PixelPaddingValue=-9)
    paths = [tmp_path / "none", tmp_path / "a", tmp_path / "two", padded, tmp_path / "a" / "x"]
    report: list = []
    rows = load_rows(paths, (6, 5), device="cpu", on_error="skip", report=report)
    assert rows.counts == (1, 5, 3, 1, 1)
    nothing = np.isnan(rows.array).all(axis=(1, 2))
    assert nothing.tolist() == [True, *[False] * 4, True, *[True] * 5]
    np.testing.assert_array_equal(rows.array[1:5], stack)
    assert [(path.name, z) for path, z, _ in report] == [
        ("none", 0), ("cut.dcm", 4), ("two", 0), ("two", 1), ("two", 2), ("x", 0), ("p.dcm", 0)
    ]  # fmt: skip
    assert all(isinstance(e, (FastmmError, FileNotFoundError)) for *_, e in report)
    without = load_images(paths, (6, 5), device="cpu", on_error="skip")
    np.testing.assert_array_equal(without, rows.array)


def test_notes_come_once(tmp_path):
    write_series(tmp_path, 4, RescaleSlope=None, RescaleIntercept=None)
    with pytest.warns(UserWarning, match=r"Hounsfield.*\(4 files\)") as caught:
        load_images(tmp_path, (4, 4), device="cpu")
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_copies_are_dropped(tmp_path):
    write_series(tmp_path, 3)
    first = sorted(tmp_path.iterdir())[0]
    (tmp_path / "zz.dcm").write_bytes(first.read_bytes())
    with pytest.warns(UserWarning, match="copies"):
        assert load_images(tmp_path, (4, 4), device="cpu").shape[0] == 3
    write(tmp_path / "zz.dcm", image(99))
    with pytest.raises(GeometryError, match="same place"):
        load_images(tmp_path, (4, 4), device="cpu")


def test_progress(tmp_path, monkeypatch, capsys):
    write_series(tmp_path, 40)
    calls: list[tuple[int, int]] = []
    load_images(tmp_path, (4, 4), device="cpu", progress=lambda *now: calls.append(now))
    assert calls == [(0, 40), (16, 40), (32, 40), (40, 40)]
    load_images(tmp_path, (4, 4), device="cpu", progress=True)
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    with pytest.raises(ImportError, match=r"fastmm\[app\]"):
        load_images(tmp_path, (4, 4), device="cpu", progress=True)


def test_no_paths():
    rows = load_rows([], (4, 3), device="cpu")
    assert rows.array.shape == (0, 4, 3)
    assert rows.split() == []


@pytest.mark.parametrize(
    ("arguments", "error", "what"),
    [
        ({"shape": 4}, TypeError, "shape"),
        ({"shape": (4, 0)}, ValueError, "shape"),
        ({"shape": (4, 4, 4)}, ValueError, "shape"),
        ({"window": 3}, TypeError, "window"),
        ({"window": (0, 0)}, ValueError, "width"),
        ({"window": (np.nan, 10)}, ValueError, "center"),
        ({"interpolation": "spline"}, ValueError, "linear"),
        ({"interpolation": "area", "antialias": True}, ValueError, "antialias"),
        ({"channel": 3}, ValueError, "channel"),
        ({"channel": -1}, ValueError, "channel"),
        ({"normalize": 3}, TypeError, "normalize"),
        ({"device": "tpu"}, ValueError, "device"),
        ({"on_error": "ignore"}, ValueError, "on_error"),
        ({"paths": 3}, TypeError, "paths"),
        ({"paths": [3]}, TypeError, "paths"),
    ],
)
def test_arguments(arguments, error, what):
    with pytest.raises(error, match=what):
        load_images(**{"paths": [Path("none")], "shape": (4, 4), "device": "cpu", **arguments})


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
