"""What training the networks of a study costs."""

from __future__ import annotations

import math
from collections.abc import Collection

from fastmm.fusion.deep_fusion import FOLDS, epochs_for
from fastmm.planning import rates
from fastmm.planning.sizes import ImageSize, StudySize
from fastmm.planning.work import Work

__all__ = ["forward_flops", "network_work"]

_WIDTH, _STAGES, _LONG = 16, 4, 32  # channels and stages of an encoder, and pixels of its stem
_BATCH, _SMALLEST, _STEPS = 32, 8, 16  # rows of a step, the fewest, steps they shrink for


def forward_flops(axes: tuple[int, ...]) -> float:
    """Return flops of an encoder for an image or a volume of one channel.

    Examples
    --------
    >>> 2e7 < forward_flops((64, 64)) < 5e7
    True
    """
    strides = [min(8, 1 << max(0, math.ceil(math.log2(size / _LONG)))) for size in axes]
    kernel = math.prod(
        2 * s + 1 if s > 1 else 3 if n > 1 else 1 for n, s in zip(axes, strides, strict=True)
    )
    sizes = [-(-n // s) for n, s in zip(axes, strides, strict=True)]
    found: float = 2.0 * math.prod(sizes) * kernel * _WIDTH
    before = _WIDTH
    for stage in range(_STAGES):
        halved = [-(-n // 2) if stage and n >= 8 else n for n in sizes]
        if stage and halved == sizes:
            break
        after, taps = _WIDTH * 2**stage, math.prod(3 if n > 1 else 1 for n in halved)
        found += 2.0 * math.prod(halved) * after * (taps * (before + after) + before)
        sizes, before = halved, after
    return found


def network_work(size: StudySize, rows: float, names: Collection[str]) -> Work:
    """Return the work of one fit: trainings without each fold, and one of all, side by side."""
    folds = min(FOLDS, max(2, round(size.patients)))
    return folds * _training(size, rows * (1 - 1 / folds), names) + _training(size, rows, names)


def _training(size: StudySize, rows: float, names: Collection[str]) -> Work:
    each = sum(forward_flops(axes_of(image)) for image in size.images if image.name in names)
    steps = rows / min(_BATCH, max(_SMALLEST, rows / _STEPS))
    epoch = Work(
        narrow_flops=3.0 * each * rows / rates.CONVOLUTION,  # forth, and twice as much back
        steps=steps * (rates.STEP + rates.STEP_MODALITY * len(names)),
    )
    return epochs_for(rows) * epoch


def axes_of(image: ImageSize) -> tuple[int, ...]:
    """Return the axes that convolutions see; features that are no pixels cost nearly nothing."""
    if image.features != "pixels":
        return (1, 1)
    deep = image.pool == "stack" and image.per_examination > 1
    return (image.per_examination, *image.shape) if deep else image.shape
