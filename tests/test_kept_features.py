"""Features that a folder keeps, and what a study leaves out where a limit has no room for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from fastmm import ImageModality
from fastmm.blocks import Block
from fastmm.findings.kept_features import kept_block
from fastmm.findings.permuting import permute_set
from fastmm.findings.validation import Plan, Validated
from fastmm.streams.picked_rows import RowFile
from fastmm.study import _learning
from fastmm.validate.out_of_fold import out_of_fold


@dataclass(frozen=True)
class Failing(ImageModality):
    """Fails after some parts, as a machine does that is switched off."""

    def extract(self, data, **options):
        if not LEFT:
            raise KeyboardInterrupt
        LEFT.pop()
        return super().extract(data, **options)


LEFT: list[int] = []


def pictures(folder, count=40):
    rng, paths = np.random.default_rng(0), []
    for i in range(count):
        paths.append(None if i % 7 == 3 else folder / f"{i}.png")
        if paths[-1] is not None:
            Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8)).save(paths[-1])
    return paths


def block(modality, paths, folder, limit=None, told=lambda done, total: None):
    return kept_block(modality, paths, "ct/1", folder, "cpu", limit, told)


def test_an_interrupted_run_goes_on_where_it_was_under_another_limit(tmp_path):
    pytest.importorskip("zarr", reason="zarr is not installed")
    modality, paths = Failing(shape=(8, 8), features="pixels"), pictures(tmp_path)
    LEFT[:] = [0, 0]
    with pytest.raises(KeyboardInterrupt):
        block(modality, paths, tmp_path / "kept")
    (folder,) = (tmp_path / "kept").iterdir()
    finished = {each: each.stat().st_mtime_ns for each in folder.glob("finished/*/*.json")}
    assert 0 < len(finished) < 3
    LEFT[:] = [0] * 20
    found = block(modality, paths, tmp_path / "kept", limit=10**6)
    assert found.on_disk
    LEFT.clear()
    assert all(each.stat().st_mtime_ns == then for each, then in finished.items())
    plain = ImageModality(shape=(8, 8), features="pixels").extract(paths)
    assert np.array_equal(found.values[:], plain.values)
    assert np.array_equal(found.present, plain.present)
    again = block(modality, paths, tmp_path / "kept")  # which computes nothing
    assert not again.on_disk
    assert np.array_equal(again.values, plain.values)
    damaged = next(each for each in folder.glob("features/c/**/*") if each.is_file())
    damaged.write_bytes(damaged.read_bytes()[:-9] + b"otherwise")
    LEFT[:] = [0]
    assert np.array_equal(block(modality, paths, tmp_path / "kept").values, plain.values)
    assert not LEFT


def test_slices_that_are_rows_are_not_kept(tmp_path):
    with pytest.raises(ValueError, match='`pool="rows"` has not'):
        block(ImageModality(pool="rows"), [None], tmp_path)


def test_rows_of_a_file_are_picked_in_any_order():
    values = np.random.default_rng(0).normal(size=(50, 3)).astype("f4")
    file = RowFile(3)
    file.extend([values[:20], values[20:]])
    rows = file.rows()
    del file  # the rows keep it
    for index in ([3, -1, 49, 0, 3], [10, 11, 12], [0, 40], [-1, -1], []):
        expected = np.where(np.array(index, int)[:, None] < 0, 0, values[np.array(index, int)])
        picked = rows.take(np.array(index, int))
        assert np.array_equal(picked[:], expected)
        assert np.array_equal(picked.take(np.arange(len(index))[::-1])[:], expected[::-1])
    mask = np.arange(50) % 3 == 0
    assert np.array_equal(rows.take(mask)[2:9, 1:], values[mask][2:9, 1:])
    assert np.array_equal(np.asarray(rows), values)
    with pytest.raises(ValueError, match="must have 3 values"):
        RowFile(3).append(np.ones((2, 4)))


def test_a_study_leaves_out_what_has_no_room_and_says_so():
    rng, y = np.random.default_rng(0), np.arange(60) % 2
    values = (rng.normal(size=(60, 40)) + y[:, None]).astype("f4")
    blocks, groups = {"ct": Block(values, np.ones(60, bool))}, np.arange(60)

    def found(limit):
        plan = Plan({"ct": ImageModality()}, ("ridge",), "stack", False, limit)
        held_out = out_of_fold(plan.classifier("ridge", ("ct",)), blocks, y, groups, repeats=1)
        one = Validated("ridge", "ct", ("ct",), np.ones(60, bool), y, groups, held_out)
        curves, told = _learning(plan, [one], [], one, blocks, lambda _: lambda done, total: None)
        return *permute_set(plan, one, blocks), curves, told

    test, notes, curves, told = found(10**9)
    assert test["pvalue_method"] == "refitted"
    assert not notes
    assert len(curves) == 1
    assert not told
    test, notes, curves, told = found(310_000)  # for the fits, and little more
    assert test["pvalue_method"] == "scores"
    assert "under the out-of-fold scores" in notes[0]
    assert not curves
    assert told == ["ridge, ct: no learning curve within the memory limit"]
