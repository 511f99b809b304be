"""Images loaded into any array within a limit, and examinations read in turn."""

from __future__ import annotations

import csv
from functools import partial

import numpy as np
import pytest

import fastmm
from fastmm.examinations import load_in_turn


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    file = fastmm.datasets.make_cohort(tmp_path_factory.mktemp("cohort") / "c", 5, seed=1)
    with file.open() as lines:
        return file, [file.parent / row["ct"] for row in csv.DictReader(lines)]


@pytest.mark.parametrize("limit", [None, "1.7MB", "40MB"])
def test_images_are_loaded_into_any_array(scans, tmp_path, limit):
    _, paths = scans
    load = partial(fastmm.load_images, paths, (40, 40), window=(0, 2000), device="cpu")
    expected = load()
    zarr = pytest.importorskip("zarr", reason="zarr is not installed")
    shape = expected.shape
    for out in (
        np.zeros(shape, "f4"),
        np.lib.format.open_memmap(tmp_path / "o.npy", "w+", dtype="f4", shape=shape),
        zarr.create_array(tmp_path / "z", shape=shape, chunks=(3, 40, 40), dtype="f4"),
    ):
        seen = []
        progress = lambda *at, seen=seen: seen.append(at)  # noqa: E731
        assert load(memory_limit=limit, out=out, progress=progress) is out
        np.testing.assert_array_equal(out[:], expected)
        assert seen[-1] == (len(expected), len(expected))
    if limit is not None:
        np.testing.assert_array_equal(load(memory_limit="40MB"), expected)


def test_loads_that_cannot_be(scans, tmp_path):
    _, paths = scans
    load = partial(fastmm.load_images, paths, (40, 40), device="cpu")
    with pytest.raises(ValueError, match=r"the result takes 256kB; give `out` on disk"):
        load(memory_limit="1kB")
    with pytest.raises(ValueError, match=r"`memory_limit` must be at least 1\.58MB"):
        load(memory_limit="1kB", out=np.empty((40, 40, 40), "f4"))
    for rows in (39, 41):
        with pytest.raises(ValueError, match=f"a row for each image, got {rows} rows"):
            load(out=np.empty((rows, 40, 40), "f4"))
    with pytest.raises(ValueError, match="must have the shape"):
        load(out=np.empty((40, 40, 41), "f4"))
    report = []
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"no image")
    out = np.zeros((41, 40, 40), "f4")
    fastmm.load_images(
        [*paths[:2], broken, *paths[2:]], (40, 40), device="cpu", on_error="skip",
        report=report, out=out, memory_limit="1.7MB",
    )  # fmt: skip
    assert np.isnan(out[16]).all()
    assert np.isfinite(np.delete(out, 16, 0)).all()
    assert [entry[:2] for entry in report] == [(broken, 0)]


@pytest.mark.parametrize("pool", ["mean", "rows", "stack"])
def test_examinations_in_turn_give_the_same_features(scans, pool):
    _, paths = scans
    paths = [None, *paths[:2], None, None, *paths[2:], None]
    modality = fastmm.ImageModality((64, 64), window=(0, 2000), pool=pool)
    expected = modality.extract(paths)
    found = modality.extract(paths, memory_limit="1.9MB")
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.present, expected.present)
    assert pool != "rows" or found.counts.tolist() == expected.counts.tolist()
    parts = [len(part.images) for part in load_in_turn(modality, paths, "cpu", None, 1_900_000)]
    assert len(parts) > 2
    assert sum(parts) == len(paths)
    with pytest.raises(ValueError, match=r"the images of one path take 131\.08kB"):
        modality.extract(paths, memory_limit="1kB")


def test_a_training_in_turn_is_the_same_training(scans, tmp_path):
    from fastmm.jobs.training import train_job

    file, _ = scans
    found = []
    for name, limit in (("a", None), ("b", "2.2MB")):
        study = train_job(
            file, tmp_path / name, label="malignant", group="patient", images=["ct"], tables=[],
            device="cpu", memory_limit=limit, title="t",
        )  # fmt: skip
        found.append(study)
    one, other = found
    np.testing.assert_array_equal(one.held_out.decision, other.held_out.decision)
    np.testing.assert_array_equal(one.pictures["ct"], other.pictures["ct"])
    for name in ("read, window, resize", "features"):
        counts = [[s["images"] for s in x.results["stages"] if s["stage"] == name] for x in found]
        assert counts[0] == counts[1] == [40]
