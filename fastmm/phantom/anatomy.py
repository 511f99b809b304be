"""A chest that never lived, drawn in millimetres: organs are ellipses, the lesion is not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Anatomy", "Ellipse", "Image", "Nodule", "draw_anatomy", "organs"]

Image = np.ndarray[Any, np.dtype[np.float32]]

_REACH = 80.0  # mm from the nodule beyond which the chest goes on unchanged


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
class Ellipse:
    """An organ in one plane: its tissue, centre, half axes in mm, and form."""

    tissue: str
    x: float
    y: float
    a: float
    b: float
    angle: float = 0.0
    square: float = 0.0  # 0 an ellipse, towards 1 a rectangle with round corners


def draw_anatomy(rng: np.random.Generator, signs: Mapping[str, float]) -> Anatomy:
    """Draw a person at random, with a nodule that shows these signs."""
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
        nodule=_draw_nodule(rng, signs),
    )


def _draw_nodule(rng: np.random.Generator, signs: Mapping[str, float]) -> Nodule:
    radius = 15 * math.exp(0.28 * signs["size"])
    spiculation = 0.75 / (1 + math.exp(-1.8 * signs["spikes"]))
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
        radius=float(np.clip(radius, 6, 28)),
        spikes=spikes.astype(np.float32),
        density=float(np.clip(-100 + 110 * signs["density"], -400, 150)),
        halo=float(np.clip(160 + 100 * signs["haze"], 0, 450)),
        enhancement=0.75 * math.exp(0.42 * signs["enhancement"]),
        heterogeneity=0.45 / (1 + math.exp(-1.5 * signs["texture"])),
        waves=waves.astype(np.float32),
    )


def organs(anatomy: Anatomy, z: float) -> Iterator[Ellipse]:
    """Yield what the plane at `z` cuts, in painting order."""
    a, b = anatomy.body
    z = min(max(z, -_REACH), _REACH)
    cavity_a, cavity_b = (half * (1 - 0.0008 * z) for half in anatomy.cavity)
    yield Ellipse("couch", 0, 131, 190, 9)
    yield Ellipse("foam", 0, 131, 187, 6)
    yield Ellipse("fat", 0, 0, a, b, square=0.3)
    yield Ellipse("muscle", 0, 0, a - anatomy.fat, b - anatomy.fat, square=0.3)
    yield from _ribs(anatomy, z, cavity_a, cavity_b)
    yield Ellipse("lung", 0, -2, cavity_a, cavity_b, square=0.3)
    yield from _lung_vessels(anatomy, z, cavity_a, cavity_b)
    yield from _mediastinum(anatomy, z, cavity_b)
    yield from _spine(cavity_b)


def _ribs(anatomy: Anatomy, z: float, a: float, b: float) -> Iterator[Ellipse]:
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
            yield Ellipse("cortex", x, y, 12, 4.6, angle)
            yield Ellipse("marrow", x, y, 10, 2.6, angle)
    yield Ellipse("cortex", 0, -ring_b - 3, 19, 5.5)
    yield Ellipse("marrow", 0, -ring_b - 3, 17, 3.5)


def _lung_vessels(anatomy: Anatomy, z: float, a: float, b: float) -> Iterator[Ellipse]:
    for side, angle, part, half, calibre in anatomy.vessels.tolist():
        way = (part + z / 120) % 1.0
        x = side * (38 + way * (a - 48) * math.cos(angle))
        y = way * (b - 14) * math.sin(angle)
        width = calibre * (1.0 + 2.2 * (1 - way))
        yield Ellipse("vessel", x, y, half * (1.2 - way) + width, width, side * angle)


def _mediastinum(anatomy: Anatomy, z: float, b: float) -> Iterator[Ellipse]:
    shift, heart_a, heart_b = anatomy.heart
    grow = 1 - 0.006 * z
    yield Ellipse("fat", 4, -8, 42, b + 2, square=0.5)
    yield Ellipse("muscle", shift, -22, heart_a * grow + 2, heart_b * grow + 2, 0.5)
    yield Ellipse("blood", shift, -22, heart_a * grow, heart_b * grow, 0.5)
    yield Ellipse("muscle", shift, -22, 3, heart_b * grow, -0.4)  # the septum
    yield Ellipse("blood", 24, b - 24, 12, 12)  # descending aorta
    yield Ellipse("muscle", 6, b - 30, 7, 5)  # oesophagus
    for side in (-1, 1):  # main bronchi, which part on their way down
        yield Ellipse("muscle", side * (22 - 0.3 * z), 24, 9, 8)
        yield Ellipse("air", side * (22 - 0.3 * z), 24, 6.5, 5.5)


def _spine(b: float) -> Iterator[Ellipse]:
    y = b - 4
    yield Ellipse("muscle", 0, y + 10, 46, 26, square=0.4)
    yield Ellipse("cortex", 0, y, 19, 15)
    yield Ellipse("marrow", 0, y, 17, 13)
    for side in (-1, 1):
        yield Ellipse("cortex", side * 13, y + 16, 4, 11)
        yield Ellipse("cortex", side * 27, y + 20, 16, 4, side * 0.35)
    yield Ellipse("cortex", 0, y + 31, 4, 11)
    yield Ellipse("fat", 0, y + 18, 10, 8)
    yield Ellipse("muscle", 0, y + 18, 6.5, 5.5)
