"""A chest that never lived: anatomy drawn in millimetres, seen by a CT and an MR scanner.

Organs are ellipses, drawn slice by slice with soft edges. Both scanners see the same
anatomy, each with the contrast, noise and artefacts of its own physics.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Anatomy", "Grid", "ct_slices", "draw_anatomy", "mr_slices"]

Image = np.ndarray[Any, np.dtype[np.float32]]

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
_EDGE = 1.5  # width of an outline, in pixels
_MR_NOISE = 0.025  # of enhanced blood, in each of the two channels
_REACH = 80.0  # mm from the nodule beyond which the chest goes on unchanged


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


@dataclass(frozen=True)
class Nodule:
    """A lesion at z = 0: its outline, and how it takes up contrast medium."""

    x: float
    y: float
    radius: float
    spikes: Image  # (n, 3): angle, length as a part of the radius, angular width
    density: float  # HU
    halo: float  # HU that the haze around it adds to the lung
    enhancement: float  # of enhanced blood
    heterogeneity: float
    waves: Image  # (n, 4): wave vector per mm and phase of its texture


@dataclass(frozen=True)
class Anatomy:
    """One person's chest; lengths in mm, x to the left, y to the back, z to the head."""

    body: tuple[float, float]
    fat: float
    wall: float
    heart: tuple[float, float, float]
    rib_phase: float
    vessels: Image  # (n, 5): side, angle, part of the way out, half length, calibre
    nodule: Nodule

    @property
    def cavity(self) -> tuple[float, float]:
        """Half axes of the space inside the ribs."""
        inset = self.fat + self.wall
        return self.body[0] - inset - 6, self.body[1] - inset


@dataclass(frozen=True)
class _Ellipse:
    tissue: str
    x: float
    y: float
    a: float
    b: float
    angle: float = 0.0
    square: float = 0.0  # 0 an ellipse, towards 1 a rectangle with round corners


def draw_anatomy(rng: np.random.Generator, outline: float, uptake: float) -> Anatomy:
    """Draw a person at random; two severities shape the nodule.

    `outline` makes it larger, spiculated and (in CT) hazy around, `uptake` makes it enhance
    more, and less evenly (in MR). Neither fixes any single feature.
    """
    size = rng.normal(1.0, 0.015)
    # The same tree of vessels in everyone, as anatomy has it, each branch a little displaced.
    branch = np.arange(1, 37)
    vessels = np.stack(
        [
            np.where(branch % 2, 1.0, -1.0),
            2.5 * (branch * 0.618 % 1) - 1.25 + rng.normal(0, 0.08, branch.size),
            0.05 + 0.9 * (branch * 0.755 % 1) + rng.normal(0, 0.03, branch.size),
            rng.uniform(4, 13, branch.size),
            rng.uniform(0.8, 1.2, branch.size),
        ],
        axis=1,
    ).astype(np.float32)
    return Anatomy(
        body=(166 * size + rng.normal(0, 2), 114 * size + rng.normal(0, 2)),
        fat=float(np.clip(rng.normal(11, 2), 5, 20)),
        wall=rng.normal(19, 1),
        heart=(rng.normal(22, 2), rng.normal(46, 2), rng.normal(37, 1.5)),
        rib_phase=rng.uniform(0, 1),
        vessels=vessels,
        nodule=_draw_nodule(rng, outline, uptake),
    )


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


def _draw_nodule(rng: np.random.Generator, outline: float, uptake: float) -> Nodule:
    radius = 12.5 * math.exp(0.38 * (0.9 * outline + 0.3 * rng.normal()))
    spiculation = 0.75 / (1 + math.exp(-2.0 * (0.9 * outline + 0.5 * rng.normal())))
    count = int(rng.integers(9, 15))
    angles = (np.arange(count) + rng.uniform(-0.35, 0.35, count)) * (2 * math.pi / count)
    spikes = np.stack(
        [angles, spiculation * rng.uniform(0.4, 1.2, count), rng.uniform(0.07, 0.16, count)],
        axis=1,
    )
    heading, tilt = rng.uniform(0, 2 * math.pi, 8), rng.uniform(-0.6, 0.6, 8)
    number = 2 * math.pi / rng.uniform(6, 14, 8)
    waves = np.stack(
        [
            number * np.cos(heading),
            number * np.sin(heading),
            number * tilt,
            rng.uniform(0, 2 * math.pi, 8),
        ],
        axis=1,
    )
    return Nodule(
        x=-82 + rng.normal(0, 2.0),
        y=4 + rng.normal(0, 2.0),
        radius=float(np.clip(radius, 5, 26)),
        spikes=spikes.astype(np.float32),
        density=rng.normal(30, 12),
        halo=min(130 * math.exp(0.8 * (0.9 * outline + 0.3 * rng.normal())), 450.0),
        enhancement=0.75 * math.exp(0.45 * (0.85 * uptake + 0.5 * rng.normal())),
        heterogeneity=0.3 / (1 + math.exp(-1.5 * (0.9 * uptake + 0.5 * rng.normal()))),
        waves=waves.astype(np.float32),
    )


def _paint(anatomy: Anatomy, z: float, grid: Grid, look: Mapping[str, float]) -> Image:
    image = np.full(grid.shape, look["air"], dtype=np.float32)
    for ellipse in _organs(anatomy, z):
        _add_ellipse(image, ellipse, grid, look[ellipse.tissue])
    return image


def _add_ellipse(image: Image, ellipse: _Ellipse, grid: Grid, value: float) -> None:
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
    width = 2.2 * nodule.radius + 8
    box, across, down = grid.box(nodule.x, nodule.y, 2 * width, 2 * width)
    distance = (across * across + down * down + np.float32(z * z)) / np.float32(width * width)
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


def _organs(anatomy: Anatomy, z: float) -> Iterator[_Ellipse]:
    """Yield what the plane at `z` cuts, in painting order."""
    a, b = anatomy.body
    z = min(max(z, -_REACH), _REACH)
    cavity_a, cavity_b = (half * (1 - 0.0008 * z) for half in anatomy.cavity)
    yield _Ellipse("couch", 0, 131, 190, 9)
    yield _Ellipse("foam", 0, 131, 187, 6)
    yield _Ellipse("fat", 0, 0, a, b, square=0.3)
    yield _Ellipse("muscle", 0, 0, a - anatomy.fat, b - anatomy.fat, square=0.3)
    yield from _ribs(anatomy, z, cavity_a, cavity_b)
    yield _Ellipse("lung", 0, -2, cavity_a, cavity_b, square=0.3)
    yield from _lung_vessels(anatomy, z, cavity_a, cavity_b)
    yield from _mediastinum(anatomy, z, cavity_b)
    yield from _spine(cavity_b)


def _ribs(anatomy: Anatomy, z: float, a: float, b: float) -> Iterator[_Ellipse]:
    ring_a, ring_b = a + 7, b + 7
    # Ribs slope downwards to the front, so each plane cuts all of them further along.
    step = math.pi / 8
    shift = (anatomy.rib_phase + z / 30) % 1.0
    for index in range(8):
        turn = -math.pi / 2 + step * (index + shift)
        if abs(turn) > 1.35:  # the sternum and the spine are there
            continue
        radius = 1 / math.sqrt(1 - 0.3 * (math.cos(turn) * math.sin(turn)) ** 2)
        for side in (-1, 1):
            x, y = side * ring_a * radius * math.cos(turn), ring_b * radius * math.sin(turn) - 2
            angle = math.atan2(ring_b * math.cos(turn), -side * ring_a * math.sin(turn))
            yield _Ellipse("cortex", x, y, 12, 4.6, angle)
            yield _Ellipse("marrow", x, y, 10, 2.6, angle)
    yield _Ellipse("cortex", 0, -ring_b - 3, 19, 5.5)
    yield _Ellipse("marrow", 0, -ring_b - 3, 17, 3.5)


def _lung_vessels(anatomy: Anatomy, z: float, a: float, b: float) -> Iterator[_Ellipse]:
    for side, angle, part, half, calibre in anatomy.vessels.tolist():
        way = (part + z / 120) % 1.0
        x = side * (38 + way * (a - 48) * math.cos(angle))
        y = way * (b - 14) * math.sin(angle)
        width = calibre * (1.0 + 2.2 * (1 - way))
        yield _Ellipse("vessel", x, y, half * (1.2 - way) + width, width, side * angle)


def _mediastinum(anatomy: Anatomy, z: float, b: float) -> Iterator[_Ellipse]:
    shift, heart_a, heart_b = anatomy.heart
    grow = 1 - 0.006 * z
    yield _Ellipse("fat", 4, -8, 42, b + 2, square=0.5)
    yield _Ellipse("muscle", shift, -22, heart_a * grow + 2, heart_b * grow + 2, 0.5)
    yield _Ellipse("blood", shift, -22, heart_a * grow, heart_b * grow, 0.5)
    yield _Ellipse("muscle", shift, -22, 3, heart_b * grow, -0.4)  # the septum
    yield _Ellipse("blood", 24, b - 24, 12, 12)  # descending aorta
    yield _Ellipse("muscle", 6, b - 30, 7, 5)  # oesophagus
    for side in (-1, 1):  # main bronchi, which part on their way down
        yield _Ellipse("muscle", side * (22 - 0.3 * z), 24, 9, 8)
        yield _Ellipse("air", side * (22 - 0.3 * z), 24, 6.5, 5.5)


def _spine(b: float) -> Iterator[_Ellipse]:
    y = b - 4
    yield _Ellipse("muscle", 0, y + 10, 46, 26, square=0.4)
    yield _Ellipse("cortex", 0, y, 19, 15)
    yield _Ellipse("marrow", 0, y, 17, 13)
    for side in (-1, 1):
        yield _Ellipse("cortex", side * 13, y + 16, 4, 11)
        yield _Ellipse("cortex", side * 27, y + 20, 16, 4, side * 0.35)
    yield _Ellipse("cortex", 0, y + 31, 4, 11)
    yield _Ellipse("fat", 0, y + 18, 10, 8)
    yield _Ellipse("muscle", 0, y + 18, 6.5, 5.5)
