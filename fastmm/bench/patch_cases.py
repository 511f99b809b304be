"""The stages of patches that are never made: ridge on all of them, a dictionary of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.bench.cases import Case, Stage, error

__all__ = ["PATCH_STAGES"]

ALPHA = 100.0
ATOMS, ATOM, POOL, SIDE = 1024, 6, 6, 96


def dense_case(space: Space, n: int, modalities: int, side: int, patch: int) -> Case:
    """Fit a ridge model on all patches of images, one target an image."""
    from fastmm.solve.patches.dense_ridge import DensePatchRidge

    rng = np.random.default_rng(0)
    images = {
        f"modality {m}": rng.standard_normal((n, side, side), np.float32) for m in range(modalities)
    }
    y = rng.standard_normal(n)
    pairs = sum(side - d for d in range(patch))
    size = modalities * patch**2
    return Case(
        task=f"ridge on all {patch} x {patch} patches of {n} x {modalities} images {side} x {side}",
        call=lambda x, t: DensePatchRidge((patch, patch), alpha=ALPHA).fit(x, t),
        arguments=(
            {name: space.asarray(block) for name, block in images.items()},
            space.asarray(y),
        ),
        n_bytes=4 * modalities * n * side**2 + 8 * size**2,
        flops=2.0 * n * pairs * (modalities * side) ** 2 + size**3 / 3,
        dtype="float64",
        check=lambda model: _normal_error(model, images, y, patch, space),
        tolerance=1e-8,
        items=n,
    )


def dictionary_case(space: Space, n: int) -> Case:
    """Transform images into pooled responses to a dictionary of patches."""
    from fastmm.features.dictionary import PatchDictionary

    images = np.random.default_rng(0).standard_normal((n, SIDE, SIDE), np.float32)
    found = PatchDictionary((ATOM, ATOM), ATOMS, pool=POOL, n_patches=20_000, rounds=1, seed=0).fit(
        images
    )
    count = (SIDE - ATOM + 1) ** 2
    return Case(
        task=f"dictionary of {ATOMS} patches {ATOM} x {ATOM} over float32 {n} x {SIDE} x {SIDE}",
        call=found.transform,
        arguments=(space.asarray(images),),
        n_bytes=images.nbytes + 4.0 * n * 2 * ATOMS * POOL**2,
        flops=2.0 * n * count * ATOM**2 * ATOMS,
        dtype="float32",
        check=lambda out: error(out[-1], _responses(found, images[-1]), space),
        tolerance=2e-5,
        items=n,
    )


PATCH_STAGES = (
    Stage(
        "dense patches",
        dense_case,
        {"small": (100, 1, 32, 16), "medium": (500, 1, 64, 32), "large": (1000, 2, 64, 32)},
        lambda n, m, side, patch: 8.0 * (3 * m * n * side**2 + 4 * (m * patch**2) ** 2) + 2**30,
    ),
    Stage(
        "dictionary",
        dictionary_case,
        {"small": (16,), "medium": (128,), "large": (1024,)},
        lambda n: 4.0 * n * (SIDE**2 + 2 * ATOMS * POOL**2) + 2**27,
    ),
)


def _normal_error(model: Any, images: Any, y: Any, patch: int, space: Space) -> float:
    """Return how far the solution is from its normal equations, by Fourier transforms.

    The residuals of all patches are the convolution of the images with the filters; what
    they leave of X'r must be alpha times the coefficients.
    """
    from scipy.signal import fftconvolve

    positions = (images["modality 0"].shape[-1] - patch + 1,) * 2
    mean, count = y.mean(), len(y) * positions[0] ** 2
    residual = np.broadcast_to((y - model.intercept_)[:, None, None], (len(y), *positions)).copy()
    raw = np.broadcast_to((y - mean)[:, None, None], residual.shape)
    coef = model.coef_ if isinstance(model.coef_, dict) else {"modality 0": model.coef_}
    coef = {name: np.asarray(space.to_host(block)) for name, block in coef.items()}
    for name, block in coef.items():
        turned = block[None, ::-1, ::-1]
        residual -= fftconvolve(images[name].astype(np.float64), turned, "valid", axes=(1, 2))
    worst, scale = abs(residual.sum()) / count, 0.0
    for name, block in coef.items():
        x = images[name].astype(np.float64)
        for values, out in ((residual, -ALPHA * block), (raw, np.zeros_like(block))):
            for image, value in zip(x, values, strict=True):
                out += fftconvolve(image, value[::-1, ::-1], "valid")
            if values is residual:
                worst = max(worst, float(np.abs(out).max()))
            else:
                scale = max(scale, float(np.abs(out).max()))
    return float(worst / scale)


def _responses(model: Any, image: Any) -> Any:
    """Return the features of one image from its explicit patches, in float64."""
    x = image.astype(np.float64) * model.gain_
    patches = np.lib.stride_tricks.sliding_window_view(x, (ATOM, ATOM)).reshape(-1, ATOM**2)
    patches = patches - patches.mean(1, keepdims=True)
    patches /= np.sqrt((patches**2).mean(1, keepdims=True) + model.floors_[0])
    found = patches @ model.filters_.reshape(ATOMS, -1).T.astype(np.float64)
    side = SIDE - ATOM + 1
    edges = np.arange(POOL + 1) * side // POOL
    cells = []
    for top, bottom in pairwise(edges):
        for left, right in pairwise(edges):
            cell = found.reshape(side, side, -1)[top:bottom, left:right].reshape(-1, ATOMS)
            for sign in (1, -1):
                cells.append(np.maximum(sign * cell - model.threshold, 0).mean(0))
    return np.concatenate(cells)
