"""What a CT and an MR scanner see of the same anatomy, with the physics of each.

Planes are painted slice by slice with soft edges; contrast, noise and artefacts differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from fastmm.phantom.anatomy import Anatomy, Ellipse, Image, Nodule, organs

__all__ = ["Grid", "ct_slices", "mr_slices"]

# Hounsfield units of each tissue without contrast medium.
_CT = {
    "air": -1000.0, "couch": -450.0, "foam": -930.0, "fat": -100.0, "muscle": 52.0,
    "lung": -855.0, "blood": 42.0, "vessel": 30.0, "cortex": 650.0, "marrow": 210.0,
}  # fmt: skip
# T1 weighted, fat suppressed, after contrast medium, with enhanced blood as 1.
_MR = {
    "air": 0.0, "couch": 0.0, "foam": 0.0, "fat": 0.24, "muscle": 0.42,
    "lung": 0.06, "blood": 0.72, "vessel": 0.6, "cortex": 0.05, "marrow": 0.33,
}  # fmt: skip
_CT_NOISE = 24.0  # HU, before the reconstruction filter
_HAZE = 45.0  # mm from the nodule, where the haze has faded to a third
_EDGE = 1.5  # width of an outline, in pixels
_MR_NOISE = 0.025  # of enhanced blood, in each of the two channels


class Grid:
    """The pixels of a slice around the isocentre: `pitch` mm apart, y to the back."""

    def __init__(self, rows: int, columns: int, pitch: float) -> None:
        self.shape, self.pitch = (rows, columns), pitch
        self.left, self.top = -pitch * (columns - 1) / 2, -pitch * (rows - 1) / 2
        self._x = (self.left + pitch * np.arange(columns)).astype(np.float32)
        self._y = (self.top + pitch * np.arange(rows)).astype(np.float32)

    def box(self, x: float, y: float, reach_x: float, reach_y: float) -> tuple[Any, Image, Image]:
        """Cut out the pixels around (x, y): their index, and coordinates from there in mm."""
        rows = self._span(y - self.top, reach_y, self.shape[0])
        columns = self._span(x - self.left, reach_x, self.shape[1])
        across, down = self._x[columns] - np.float32(x), self._y[rows] - np.float32(y)
        return (rows, columns), across[None, :], down[:, None]

    def _span(self, centre: float, reach: float, length: int) -> slice:
        first = math.ceil(max((centre - reach) / self.pitch, 0))
        last = math.floor(min((centre + reach) / self.pitch, length - 1))
        return slice(min(first, length), max(last + 1, 0))


def ct_slices(
    anatomy: Anatomy, heights: Iterable[float], grid: Grid, rng: np.random.Generator
) -> Iterator[Image]:
    """Scan the planes at `heights` mm with CT: Hounsfield units, noise included."""
    rows, columns = grid.shape
    for z in heights:
        image = _paint(anatomy, z, grid, _CT)
        _add_halo(image, anatomy.nodule, z, grid)
        _add_nodule(image, anatomy.nodule, z, grid, anatomy.nodule.density, 12.0)
        noise = rng.standard_normal((rows + 1, columns + 1), dtype=np.float32)
        # Neighbours share noise, as a soft reconstruction kernel leaves it.
        pairs = noise[1:] + noise[:-1]
        image += (pairs[:, 1:] + pairs[:, :-1]) * np.float32(_CT_NOISE / 2)
        yield image


def mr_slices(
    anatomy: Anatomy, heights: Iterable[float], grid: Grid, rng: np.random.Generator
) -> Iterator[Image]:
    """Scan the planes at `heights` mm with MR: arbitrary units, shading, Rician noise."""
    nodule = anatomy.nodule
    gain = min(math.exp(rng.normal(math.log(900), 0.35)), 2400.0)
    shading = _shading(rng, grid)
    for z in heights:
        image = _paint(anatomy, z, grid, _MR)
        texture = nodule.heterogeneity * nodule.enhancement
        _add_nodule(image, nodule, z, grid, nodule.enhancement, texture)
        image *= shading
        noise = rng.standard_normal((2, *grid.shape), dtype=np.float32)
        noise *= np.float32(_MR_NOISE)
        noise[0] += image
        noise *= noise
        yield np.sqrt(noise[0] + noise[1]) * np.float32(gain)


def _paint(anatomy: Anatomy, z: float, grid: Grid, look: Mapping[str, float]) -> Image:
    image = np.full(grid.shape, look["air"], dtype=np.float32)
    for ellipse in organs(anatomy, z):
        _add_ellipse(image, ellipse, grid, look[ellipse.tissue])
    return image


def _add_ellipse(image: Image, ellipse: Ellipse, grid: Grid, value: float) -> None:
    a, b, cos, sin = ellipse.a, ellipse.b, math.cos(ellipse.angle), math.sin(ellipse.angle)
    margin = 1.5 * grid.pitch
    reach = math.hypot(a * cos, b * sin) + margin, math.hypot(a * sin, b * cos) + margin
    box, x, y = grid.box(ellipse.x, ellipse.y, *reach)
    if ellipse.angle:
        x, y = x * np.float32(cos) + y * np.float32(sin), y * np.float32(cos) - x * np.float32(sin)
    u, v = (x * np.float32(1 / a)) ** 2, (y * np.float32(1 / b)) ** 2
    level = u + (v * (1 - np.float32(ellipse.square) * u) if ellipse.square else v)
    # 1 - level is twice the distance to the outline, near it, in units of the half axis.
    _blend(image[box], (1 - level) * np.float32(min(a, b) / (2 * _EDGE * grid.pitch)), value)


def _add_nodule(
    image: Image, nodule: Nodule, z: float, grid: Grid, value: float, texture: float
) -> None:
    if abs(z) >= nodule.radius:
        return
    radius = np.float32(math.sqrt(nodule.radius**2 - z**2))
    reach = 2.5 * float(radius) + 2 * grid.pitch
    box, across, down = grid.box(nodule.x, nodule.y, reach, reach)
    theta = np.arctan2(down, across)
    outline = np.ones_like(theta)
    for angle, length, width in nodule.spikes:
        turn = np.abs(theta - angle) % np.float32(2 * math.pi)
        turn = np.minimum(turn, np.float32(2 * math.pi) - turn)
        outline += length * np.exp(-((turn / width) ** 2))
    inside = (outline * radius - np.hypot(across, down)) / np.float32(_EDGE * grid.pitch)
    field = np.zeros_like(theta)
    for kx, ky, kz, phase in nodule.waves:
        field += np.cos(kx * across + ky * down + (kz * np.float32(z) + phase))
    _blend(image[box], inside, np.float32(value) + np.float32(texture / 2) * field)


def _add_halo(image: Image, nodule: Nodule, z: float, grid: Grid) -> None:
    box, across, down = grid.box(nodule.x, nodule.y, 2 * _HAZE, 2 * _HAZE)
    distance = (across * across + down * down + np.float32(z * z)) / np.float32(_HAZE**2)
    patch = image[box]
    patch += np.where(patch < -600, np.float32(nodule.halo) * np.exp(-distance), np.float32(0))


def _blend(patch: Image, depth: Image, value: Any) -> None:
    # `depth` counts edge widths inwards from the outline, which lies at half coverage.
    depth += np.float32(0.5)
    np.minimum(depth, 1, out=depth)
    np.maximum(depth, 0, out=depth)
    depth *= value - patch
    patch += depth


def _shading(rng: np.random.Generator, grid: Grid) -> Image:
    _, x, y = grid.box(0, 0, math.inf, math.inf)
    x, y = x / abs(grid.left), y / abs(grid.left)
    c = rng.normal(0, 0.08, 5).astype(np.float32)
    field = c[0] * x + c[1] * y + c[2] * (x * y) + c[3] * (x * x) + c[4] * (y * y)
    return np.asarray(np.exp(field), np.float32)
