"""Stacks made in parts: in their place, of rows that are looked at or decoded once."""

from __future__ import annotations

import numpy as np
import pytest
from disk_sources import Sliced, least, peak

from fastmm import stack_features
from fastmm._space import enter
from fastmm.stacking import stack_columns


class Counted(Sliced):
    """A store that counts the rows that were read of it, and has chunks."""

    chunks = (8, 50)

    def __init__(self, array):
        super().__init__(array)
        self.read = 0

    def __getitem__(self, key):
        part = super().__getitem__(key)
        self.read += len(part)
        return part


class Written:
    """What takes rows by slices, as a store does."""

    def __init__(self, shape):
        self.array, self.shape, self.dtype = np.empty(shape, "f4"), shape, np.dtype("f4")

    def __setitem__(self, key, part):
        self.array[key] = part


@pytest.fixture
def blocks():
    rng = np.random.default_rng(7)
    scans = (rng.normal(size=(200, 50)) * 300 + 1e4).astype("f4")
    return {"scans": scans, "counts": rng.integers(0, 999, (200, 50), np.int16)}


def by_definition(blocks):
    wide = np.hstack([np.asarray(block).astype("f8") for block in blocks.values()])
    return (wide - wide.mean(axis=0)) / wide.std(axis=0)


def close(found, blocks, tolerance=2e-6):
    np.testing.assert_allclose(found, by_definition(blocks), rtol=0, atol=tolerance)


def some_parts(sources, out):
    low = least(lambda limit: stack_features(sources, memory_limit=limit, out=out))
    return 2 * low


def mapped(path, array):
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def test_what_is_decoded_is_read_once_where_its_stack_is_in_memory(blocks):
    for out, times in ((np.empty((200, 100), "f4"), 1), (Written((200, 100)), 2)):
        stores = {name: Counted(block) for name, block in blocks.items()}
        found = stack_features(stores, memory_limit=some_parts(stores, out), out=out)
        assert found.X is out
        close(out if times == 1 else out.array, blocks)
        assert [store.read for store in stores.values()] == [times * 200] * 2
        assert max(store.most for store in stores.values()) < 100
    own = stack_features(stores, memory_limit=some_parts(stores, None) + 80_000)
    close(own.X, blocks)


@pytest.mark.parametrize("kind", ["plain", "other bytes", "columns first", "half"])
def test_mapped_files_of_any_layout(kind, blocks, tmp_path):
    scans = blocks["scans"]
    if kind == "half":
        blocks["scans"] = scans = (scans / 20).astype("f2")
    turned = {"other bytes": scans.astype(">f4"), "columns first": np.asfortranarray(scans)}
    files = {
        "scans": mapped(tmp_path / "scans.npy", turned.get(kind, scans)),
        "counts": mapped(tmp_path / "counts.npy", blocks["counts"]),
    }
    wide = np.zeros((200, 130), "f4")
    file = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", "f4", (200, 100))
    for out in (np.empty((200, 100), "f4"), wide[:, 7:107], file):
        low = least(lambda limit, out=out: stack_features(files, memory_limit=limit, out=out))
        assert stack_features(files, memory_limit=low + 20_000, out=out).X is out
        close(out, blocks)
    assert not wide[:, :7].any()
    assert not wide[:, 107:].any()


def test_mapped_files_are_not_copied(tmp_path):
    block = np.random.default_rng(0).normal(size=(6000, 400)).astype("f4")
    file = mapped(tmp_path / "block.npy", block)
    out = np.empty((6000, 400), "f4")
    stack_features({"a": block[:9]}, memory_limit="5MB")  # what is compiled stays
    _, held = peak(lambda: stack_features({"a": file}, memory_limit="5MB", out=out))
    assert held < 500_000
    close(out, {"a": block})


def test_an_out_of_no_rows_asks_for_the_statistics_alone(xp):
    block = np.random.default_rng(1).normal(size=(70, 9)).astype("f4") + 5
    space, (there,), _ = enter(block=xp.asarray(block))
    found = []
    for rows in (70, 0):
        out = space.xp.empty((rows, 9), "f4")
        found.append([space.xp.zeros(9, "f4") for _ in range(3)])
        stack_columns(space, there, out, slice(0, 9), 2.0, True, found[-1])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(space.to_host(one), space.to_host(other))
    np.testing.assert_allclose(
        space.to_host(found[1][2]), 2 / block.astype("f8").std(axis=0), rtol=1e-6
    )
