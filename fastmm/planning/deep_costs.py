"""What training a `DeepClassifier` with its defaults costs."""

from __future__ import annotations

import math

from fastmm.planning import rates
from fastmm.planning.sizes import ImageSize, StudySize
from fastmm.planning.work import Work

__all__ = ["forward_flops", "network_work"]

_WIDTH, _STAGES, _LONG = 16, 4, 64  # channels and stages of an encoder, and pixels of its stem
_FOLDS = 3  # trainings for scores out of fold, beside the one of all rows
_SHARE, _BATCH, _STEPS = 0.85, 32, 16  # rows that are trained on, of a step, steps of an epoch


def forward_flops(axes: tuple[int, ...]) -> float:
    """Return flops of an encoder for an image or a volume of one channel.

    Examples
    --------
    >>> 1e8 < forward_flops((64, 64)) < 2e8
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


def network_work(size: StudySize, rows: float) -> Work:
    """Return the work of one fit: a training without each of three folds, and one of all."""
    return sum((_training(size, rows * (1 - 1 / _FOLDS)) for _ in range(_FOLDS)), Work()) + (
        _training(size, rows)
    )


def _training(size: StudySize, rows: float) -> Work:
    each = sum(forward_flops(axes_of(image)) for image in size.images)
    passes = 3.0 * _SHARE + (1 - _SHARE)  # forth and back, and forth for what is watched
    steps = max(_STEPS, rows * _SHARE / _BATCH)
    epoch = Work(
        narrow_flops=each * rows * passes / rates.CONVOLUTION, lone_steps=steps * rates.STEP
    )
    return rates.EPOCHS * epoch


def axes_of(image: ImageSize) -> tuple[int, ...]:
    """Return the axes that convolutions see; features that are no pixels cost nearly nothing."""
    if image.features != "pixels":
        return (1, 1)
    deep = image.pool == "stack" and image.per_examination > 1
    return (image.per_examination, *image.shape) if deep else image.shape
