"""Random shifts, rotations, zooms and flips of images, from a generator of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from math import radians
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

__all__ = ["Augmentation", "augment"]


@dataclass(frozen=True)
class Augmentation:
    """How far images may be moved; 0 and False leave them.

    Attributes
    ----------
    shift : float
        Largest shift, as a share of each axis.
    rotation : float
        Largest rotation in the plane of the last two axes, in degrees.
    zoom : float
        Largest change of the scale: 0.1 for 90 to 110 per cent.
    flip : bool
        Whether to mirror the last axis of half of the images.
    """

    shift: float
    rotation: float
    zoom: float
    flip: bool

    @property
    def idle(self) -> bool:
        """Say whether nothing is moved."""
        return not (self.shift or self.rotation or self.zoom or self.flip)


def augment(images: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Move each image of (n, c, h, w) or (n, c, d, h, w) in its own way; borders repeat.

    Numbers are drawn on the host, so that a GPU sees the same ones.
    """
    if how.idle:
        return images
    theta = _maps(len(images), images.shape[2:], how, generator)
    grid = affine_grid(theta.to(images.device), list(images.shape), align_corners=False)
    return grid_sample(images, grid, padding_mode="border", align_corners=False)


def _maps(n: int, sizes: Any, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Draw affine maps (n, axes, axes + 1) from output to input, in shares of half the axes."""
    axes = len(sizes)
    drawn = torch.rand((n, axes + 3), generator=generator) * 2 - 1
    scale = 1 + how.zoom * drawn[:, 0]
    angle = radians(how.rotation) * drawn[:, 1]
    mirror = torch.where((drawn[:, 2] > 0) & how.flip, -1.0, 1.0)
    height, width = sizes[-2:]
    theta = torch.zeros((n, axes, axes + 1))
    for axis in range(axes):
        theta[:, axis, axis] = scale
        theta[:, axis, axes] = 2 * how.shift * drawn[:, 3 + axis]
    # torch counts axes from the last: x, y, z; a rotation by pixels, whatever the aspect.
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    theta[:, 0, 0], theta[:, 0, 1] = cos * mirror, -sin * height / width
    theta[:, 1, 0], theta[:, 1, 1] = sin * mirror * width / height, cos
    return theta
