"""Resampling point by point through the affines; grids and volumes for it."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from fastmm import Volume


def rotation(*degrees):
    """Turn about x, then y, then z."""
    turn = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        c, s = np.cos(angle), np.sin(angle)
        step = np.eye(3)
        a, b = [i for i in range(3) if i != axis]
        step[[a, a, b, b], [a, b, a, b]] = c, -s, s, c
        turn = step @ turn
    return turn


def affine_of(spacing, origin=(0, 0, 0), turn=None, shear=None):
    """Make an affine from spacing (z, y, x)."""
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if turn is None else turn) @ np.diag(spacing[::-1])
    if shear is not None:
        affine[:3, :3] = affine[:3, :3] @ shear
    affine[:3, 3] = origin
    return affine


def volume_of(shape, spacing=(1.0, 1.0, 1.0), *, dtype="float32", seed=0, **place):
    rng = np.random.default_rng(seed)
    array = (100 * rng.normal(size=shape)).astype(dtype)
    affine = affine_of(spacing, **place)
    positions = affine[:3, 3] + np.arange(shape[-3])[:, None] * affine[:3, 2]
    return Volume(array, "HU", spacing, affine, modality="CT", positions=positions)


def centred(shape, spacing, turn=None, centre=(0, 0, 0), **options):
    """Make a volume whose middle lies at `centre`."""
    plain = affine_of(spacing, turn=turn)
    origin = np.array(centre) - plain[:3, :3] @ (np.array(shape[::-1]) - 1) / 2
    return volume_of(shape, spacing, origin=origin, turn=turn, **options)


def indices_of(volume, like):
    """Return the float64 source index (z, y, x) of each voxel of `like`, by its definition."""
    grid = np.stack(np.meshgrid(*map(np.arange, like.array.shape[-3:]), indexing="ij"), -1)
    homogeneous = np.concatenate([grid[..., ::-1], np.ones((*grid.shape[:-1], 1))], -1)
    places = homogeneous @ (np.linalg.inv(volume.affine) @ like.affine).T
    return places[..., 2::-1]


def keys(t, a=-0.75):
    t = np.abs(t)
    near = (a + 2) * t**3 - (a + 3) * t**2 + 1
    far = a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0))


def naive(volume, like, interpolation, valid=None):
    """Return values in float64 (NaN outside), and where all they rest on is `valid`."""
    source = np.asarray(volume.array, np.float64)
    valid = np.ones(source.shape, bool) if valid is None else valid
    last = np.array(source.shape) - 1
    places = indices_of(volume, like)
    inside = ((places >= -0.5) & (places < last + 0.5)).all(-1)
    if interpolation == "nearest":
        first, reach = np.floor(places + 0.5).astype(int), range(1)
    else:
        places = np.clip(places, 0, last)
        first = np.floor(places).astype(int)
        reach = range(2) if interpolation == "linear" else range(-1, 3)
    values, rests = np.zeros(inside.shape), inside.copy()
    for step in product(reach, repeat=3):
        tap = first + step
        weight = 1.0
        if interpolation != "nearest":
            kernel = keys if interpolation == "cubic" else lambda t: 1 - np.abs(t)
            weight = kernel(places - tap).prod(-1)
        at = tuple(np.moveaxis(np.clip(tap, 0, last), -1, 0))
        values += np.where(weight == 0, 0, weight * source[at])
        rests &= valid[at] | (weight == 0)
    values[~inside] = np.nan
    return values, rests


SOURCE = {"shape": (9, 14, 11), "spacing": (3.0, 1.1, 1.3), "turn": rotation(5, -8, 20)}
GRIDS = {
    "turned": centred((8, 10, 12), (2.0, 1.5, 0.9), rotation(30, 10, -25)),
    "turned a little": centred((8, 10, 12), (2.9, 1.2, 1.25), rotation(5.1, -8, 20)),
    "same axes, finer": centred((20, 22, 18), (1.31, 0.71, 0.73), SOURCE["turn"]),
    "same axes, coarser": centred((4, 6, 5), (5.1, 2.3, 2.9), SOURCE["turn"]),
    "flipped": centred((8, 10, 12), (2.0, 1.5, 0.9), SOURCE["turn"] @ np.diag([-1.0, -1, 1])),
    "axes in another order": centred((12, 9, 10), (1.0, 2.0, 1.2), SOURCE["turn"][:, [1, 2, 0]]),
    "partial overlap": centred((8, 10, 12), (2.0, 1.5, 0.9), rotation(3, 0, 0), (7, -4, 9)),
    "all around": centred((14, 20, 18), (3.0, 1.5, 1.5), rotation(0, 0, 45)),
    "one slice": centred((1, 20, 18), (3.0, 1.5, 1.5), rotation(0, 20, 45)),
}


def unknown(volume, part=np.s_[:3]):
    affine = volume.affine.copy()
    affine[part] = np.nan
    return replace(volume, affine=affine)
