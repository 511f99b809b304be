"""Encode images by a dictionary of patches, beside PyTorch's unfold and matrix product."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest

from fastmm import PatchDictionary


class Case(NamedTuple):
    """Patches and pools; images and their side."""

    size: int
    atoms: int
    pool: int
    full: tuple[int, int]
    small: tuple[int, int] = (1, 48)


CASES = (Case(6, 1024, 6, (12, 96)), Case(8, 512, 6, (6, 128)), Case(16, 1024, 4, (6, 96)))
THRESHOLD, FLOOR = 0.25, 0.01
each = pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.size}-{c.atoms}-{c.full[1]}")


@each
def bench_dictionary(timed: Any, arrays: Any, pick: Any, case: Case) -> None:
    images = make_images(*pick(case.full, case.small))
    model = fitted(images, case)
    expected = explicit(images, model, case)
    timed(
        model.transform,
        arrays.xp.asarray(images),
        group=group(images, case),
        flops=flops(images, case),
        check=lambda out: float(np.abs(arrays.asnumpy(out) - expected).max()),
        tolerance=1e-5,
    )


@each
def bench_dictionary_torch(timed: Any, torch_from: Any, pick: Any, case: Case) -> None:
    import torch

    images = make_images(*pick(case.full, case.small))
    model = fitted(images, case)
    expected = explicit(images, model, case)
    there = torch_from(images)
    filters = torch.from_numpy(model.filters_.reshape(case.atoms, -1)).T.contiguous()
    filters, floor = filters.to(there.device), float(model.floors_[0] / model.gain_**2)

    def encode(x: Any) -> Any:
        with torch.no_grad():
            return torch.cat([one(torch, image, filters, floor, case) for image in x])

    timed(
        encode,
        there,
        group=group(images, case),
        peer="PyTorch unfold and matmul",
        flops=flops(images, case),
        check=lambda out: float(np.abs(out.cpu().numpy().reshape(expected.shape) - expected).max()),
        tolerance=1e-5,
    )


def one(torch: Any, image: Any, filters: Any, floor: float, case: Case) -> Any:
    """Encode one image, with all responses in memory: more at a time are not faster."""
    patches = torch.nn.functional.unfold(image[None, None], case.size)[0].T
    patches = patches - patches.mean(1, keepdim=True)
    patches = patches / torch.sqrt((patches * patches).mean(1, keepdim=True) + floor)
    responses = patches @ filters
    side = image.shape[0] - case.size + 1
    edges = [side * i // case.pool for i in range(case.pool + 1)]
    spans = [slice(a, b) for a, b in pairwise(edges)]
    found = []
    for sign in (1, -1):
        over = (sign * responses - THRESHOLD).relu_().reshape(side, side, -1)
        found.append(torch.stack([over[r, c].mean((0, 1)) for r in spans for c in spans]))
    return torch.stack(found, 1)[None]


def explicit(images: np.ndarray, model: PatchDictionary, case: Case) -> np.ndarray:
    """Encode in float64, an image at a time."""
    filters = model.filters_.reshape(case.atoms, -1).astype(np.float64).T
    found = []
    for image in images.astype(np.float64):
        patches = np.lib.stride_tricks.sliding_window_view(image, (case.size, case.size))
        side = patches.shape[0]
        patches = patches.reshape(side, side, -1)
        patches = patches - patches.mean(-1, keepdims=True)
        patches /= np.sqrt((patches**2).mean(-1, keepdims=True) + model.floors_ / model.gain_**2)
        edges = [side * i // case.pool for i in range(case.pool + 1)]
        spans = [slice(a, b) for a, b in pairwise(edges)]
        for cell in (patches[r, c] for r in spans for c in spans):
            responses = cell.reshape(-1, case.size**2) @ filters
            found += [np.maximum(s * responses - THRESHOLD, 0).mean(0) for s in (1, -1)]
    return np.concatenate(found).reshape(len(images), -1)


def fitted(images: np.ndarray, case: Case) -> PatchDictionary:
    size = (case.size, case.size)
    model = PatchDictionary(
        size, case.atoms, pool=case.pool, threshold=THRESHOLD, contrast=FLOOR, atoms="random"
    )
    if len(images) * (images.shape[1] - case.size + 1) ** 2 < case.atoms:
        return model.fit(make_images(9, images.shape[1]))
    return model.fit(images)


def flops(images: np.ndarray, case: Case) -> int:
    """Count those of the inner products."""
    n, side = len(images), images.shape[1] - case.size + 1
    return 2 * n * side**2 * case.size**2 * case.atoms


def group(images: np.ndarray, case: Case) -> str:
    n, height, width = images.shape
    return f"{case.atoms} atoms of {case.size} x {case.size} on {n} x {height} x {width}"


def make_images(n: int, side: int) -> np.ndarray:
    return np.random.default_rng(0).normal(40, 9, (n, side, side)).astype(np.float32)
