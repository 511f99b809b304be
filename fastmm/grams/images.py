"""Images that Gram matrices are made of, checked and brought to one float type."""

from __future__ import annotations

from typing import Any

from fastmm._check import dtype_of_result, finite, real
from fastmm._space import Space, enter

__all__ = ["check_images", "take_images"]


def check_images(X: Any, Y: Any, name: str = "") -> None:
    """Refuse images (n, *spatial) by shape and dtype, which is all that is looked at."""
    for label, images in zip(_labels(name), (X, Y), strict=True):
        if images is None and label[0] == "Y":
            continue
        real(images, label)
        if images.ndim < 2 or 0 in images.shape:
            raise ValueError(
                f"`{label}` must have shape (images, *spatial), none of them 0, got "
                f"{tuple(images.shape)}."
            )


def take_images(X: Any, Y: Any, name: str = "") -> tuple[Space, Any, Any, Any]:
    """Check images (n, *spatial) and bring them to one float dtype, contiguous."""
    labels = _labels(name)
    space, (X, Y), leave = enter(**{labels[0]: X, labels[1]: Y})
    check_images(X, Y, name)
    given = [images for images in (X, Y) if images is not None]
    for label, images in zip(labels, given, strict=False):
        finite(images, label, space.xp)
    dtype = max((dtype_of_result(a.dtype) for a in given), key=lambda d: d.itemsize)
    X = space.xp.ascontiguousarray(X, dtype)
    return space, X, None if Y is None else space.xp.ascontiguousarray(Y, dtype), leave


def _labels(name: str) -> list[str]:
    return [f"{part}[{name!r}]" if name else part for part in "XY"]
