"""Every layout that an array may have, and operators to try it on."""

from __future__ import annotations

import numpy as np
import pytest

import fastmm

# Every operator that takes arrays, with a call of one argument.
OPERATORS = {
    "resize": lambda a: fastmm.resize(a, (3, 7)),
    "resize to a volume": lambda a: fastmm.resize(a, (2, 3, 7)),
    "window": lambda a: fastmm.window(a, 40, 400),
    "normalize": fastmm.normalize,
    "normalize in a mask": lambda a: fastmm.normalize(a, "minmax", mask=a),
    "extract_patches": lambda a: fastmm.extract_patches(a, (2, 3), step=2),
    "stack_features": lambda a: fastmm.stack_features({"a": a}).X,
    "StackedFeatures.apply": lambda a: fastmm.stack_features({"a": a}).apply({"a": a}),
    "linear_kernel": lambda a: fastmm.linear_kernel(a[0]),
    "rbf_kernel": lambda a: fastmm.rbf_kernel(a[0], a[1], gamma=0.01),
}
operators = pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS.keys())
SHAPE = (4, 5, 6)


def draw(dtype="float32"):
    return np.random.default_rng(0).normal(40, 30, SHAPE).astype(dtype)


def contiguous(array, folder):
    return array.copy()


def fortran(array, folder):
    return np.asfortranarray(array)


def strided(array, folder):
    wide = np.zeros(tuple(2 * n for n in array.shape), array.dtype)
    wide[::2, 1::2, ::2] = array
    return wide[::2, 1::2, ::2]


def negative_strides(array, folder):
    return array[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1]


def read_only(array, folder):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def big_endian(array, folder):
    return array.astype(array.dtype.newbyteorder(">"))


def unaligned(array, folder):
    raw = np.zeros(array.nbytes + 1, np.uint8)
    raw[1:] = array.view(np.uint8).ravel()
    taken = raw[1:].view(array.dtype).reshape(array.shape)
    assert not taken.flags.aligned
    return taken


def memory_mapped(array, folder):
    path = folder / "array.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def nested_lists(array, folder):
    return array.tolist()


LAYOUTS = [
    contiguous,
    fortran,
    strided,
    negative_strides,
    read_only,
    big_endian,
    unaligned,
    memory_mapped,
]
