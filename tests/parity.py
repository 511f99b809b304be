"""How far resize is from other libraries: ``python tests/parity.py`` prints the table.

For each method, dtype and peer the largest difference over sizes that shrink, grow and do
both, relative to the largest value; or why there is no parity to speak of.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import skimage.transform
from scipy import ndimage

from fastmm import resize

__all__ = ["Row", "measure", "table"]

FLAT = [((64, 60), (16, 20)), ((61, 47), (40, 31)), ((31, 45), (70, 93)), ((30, 64), (64, 31))]
DEEP = [((16, 18, 20), (8, 9, 10)), ((9, 11, 13), (14, 7, 20))]
DTYPES = ("float32", "float64", "int16", "uint8")


@dataclass(frozen=True)
class Row:
    """One comparison; `error` is None where there is no parity, and `why` says so."""

    method: str
    axes: int
    dtype: str
    peer: str
    error: float | None
    tolerance: float
    why: str = ""


@dataclass(frozen=True)
class Peer:
    """A library's call for a method: `call(image, shape)` of one float image."""

    method: str
    axes: int
    name: str
    call: Callable[[Any, Any], Any] | None
    tolerance: float = 2e-6
    why: str = ""
    shrinking: bool = False  # whether it is compared only where all axes shrink


def measure(*, small: bool = False) -> list[Row]:
    """Compare with every peer; `small`: with fewer dtypes."""
    rows = []
    for peer in peers():
        for dtype in DTYPES[: 1 if small else None]:
            error = None if peer.call is None else largest_difference(peer, dtype)
            rows.append(
                Row(peer.method, peer.axes, dtype, peer.name, error, peer.tolerance, peer.why)
            )
    return rows


def largest_difference(peer: Peer, dtype: str) -> float:
    found = []
    interpolation, _, antialias = peer.method.partition(", ")
    for before, after in FLAT if peer.axes == 2 else DEEP:
        if peer.shrinking and any(n > m for m, n in zip(before, after, strict=True)):
            continue
        image = draw(before, dtype)
        got = resize(image, after, interpolation=interpolation, antialias=bool(antialias))
        work = image if dtype == "float64" else image.astype(np.float32)
        expected = peer.call(work, after)
        largest = np.abs(image.astype(np.float64)).max()
        found.append(np.abs(got.astype(np.float64) - expected).max() / largest)
    return float(max(found))


def draw(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def peers() -> Iterator[Peer]:
    yield from opencv()
    yield from pytorch()
    yield from others()


def opencv() -> Iterator[Peer]:
    def call(flag: int, image: Any, shape: Any) -> Any:
        return cv2.resize(image, shape[::-1], interpolation=flag)

    name = "OpenCV"
    ties = "equal but for centres on the border of two pixels, where its fixed point may differ"
    yield Peer("nearest", 2, name, None, why=ties)
    yield Peer("linear", 2, name, partial(call, cv2.INTER_LINEAR))
    yield Peer("cubic", 2, name, partial(call, cv2.INTER_CUBIC))
    yield Peer("area", 2, f"{name}, all axes shrink", partial(call, cv2.INTER_AREA), shrinking=True)
    yield Peer("area", 2, f"{name}, an axis grows", None, why="it interpolates there, no average")
    for method in ("linear", "cubic"):
        yield Peer(f"{method}, antialias", 2, name, None, why="has no antialiasing")
    yield Peer("linear", 3, name, None, why="resizes no volumes")


def pytorch() -> Iterator[Peer]:
    try:
        import torch
    except ImportError:
        for method in ("nearest", "linear", "cubic", "linear, antialias", "cubic, antialias"):
            yield Peer(method, 2, "PyTorch", None, why="is not installed")
        return

    def call(options: dict[str, Any], image: Any, shape: Any) -> Any:
        given = torch.from_numpy(image)[None, None]
        return torch.nn.functional.interpolate(given, shape, **options)[0, 0].numpy()

    name, coarse = "PyTorch", 1e-4  # its coordinates are float32
    for axes, linear in ((2, "bilinear"), (3, "trilinear")):
        yield Peer("nearest", axes, name, partial(call, {"mode": "nearest-exact"}), 0)
        yield Peer(
            "linear", axes, name, partial(call, {"mode": linear, "align_corners": False}), coarse
        )
    for method in ("linear", "cubic"):
        options = {"mode": f"bi{method}", "align_corners": False}
        if method == "cubic":
            yield Peer(method, 2, name, partial(call, options), coarse)
        smooth = partial(call, {**options, "antialias": True})
        yield Peer(f"{method}, antialias", 2, name, smooth, coarse)
    yield Peer("area", 2, name, None, why="averages whole pixels, also those it shares")
    for method in ("cubic", "linear, antialias", "cubic, antialias"):
        yield Peer(method, 3, name, None, why="has it for images alone")


def others() -> Iterator[Peer]:
    def zoom(order: int, image: Any, shape: Any) -> Any:
        factors = [n / m for m, n in zip(image.shape, shape, strict=True)]
        work = image.astype(np.float64)
        return ndimage.zoom(work, factors, order=order, mode="nearest", grid_mode=True)

    def scikit_image(image: Any, shape: Any) -> Any:
        work = image.astype(np.float64)
        return skimage.transform.resize(
            work, shape, order=1, mode="edge", anti_aliasing=False, preserve_range=True
        )

    spline = "its cubic is a B-spline through the pixels, which weighs all of them"
    for axes in (2, 3):
        yield Peer("linear", axes, "SciPy zoom, grid_mode", partial(zoom, 1))
        yield Peer("linear", axes, "scikit-image, order 1, edge", scikit_image)
        yield Peer("cubic", axes, "SciPy, scikit-image", None, why=spline)
    blur = "smooths by a Gaussian before, and then interpolates"
    for method in ("linear, antialias", "cubic, antialias"):
        yield Peer(method, 2, "scikit-image", None, why=blur)
    yield Peer("area", 2, "SciPy, scikit-image", None, why="have no averaging of shared pixels")


def table(rows: list[Row]) -> str:
    """Return the rows as Markdown, the dtypes of a comparison side by side."""
    dtypes = list(dict.fromkeys(row.dtype for row in rows))
    lines = [
        f"| method | axes | peer | {' | '.join(dtypes)} | no parity, since |",
        f"| --- | ---: | --- |{' ---: |' * len(dtypes)} --- |",
    ]
    cells: dict[tuple[str, int, str], dict[str, Row]] = {}
    for row in rows:
        cells.setdefault((row.method, row.axes, row.peer), {})[row.dtype] = row
    for (method, axes, peer), found in sorted(cells.items()):
        errors = [found[dtype].error for dtype in dtypes]
        shown = " | ".join("" if error is None else f"{error:.0e}" for error in errors)
        why = next(iter(found.values())).why
        lines.append(f"| {method} | {axes} | {peer} | {shown} | {why} |")
    return "\n".join(lines)


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    print(table(measure()))


if __name__ == "__main__":
    main()
