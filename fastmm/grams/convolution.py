"""Gram matrices of wide convolutional networks, of images that were checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastmm._check import integer
from fastmm._space import Space
from fastmm.grams.patches import PatchPairs

__all__ = ["PLANE_BYTES", "Network", "convolved", "network"]

PLANE_BYTES = {"cpu": 1 << 24, "cuda": 1 << 29}  # of the planes of the pairs in work


class Network(NamedTuple):
    """Layers of a network: reach of its filters, their number, and what is asked of it."""

    reach: int
    depth: int
    pool: int
    tangent: bool


def network(filter_size: Any, depth: Any, pool: Any, tangent: Any) -> Network:
    """Check the parameters of a convolutional kernel."""
    size = integer(filter_size, "filter_size")
    if size % 2 == 0:
        raise ValueError(f"`filter_size` must be odd, got {size}.")
    return Network(size // 2, integer(depth, "depth"), integer(pool, "pool"), bool(tangent))


def convolved(X: Any, Y: Any, net: Network, space: Space) -> Any:
    """Return the kernel of images (n, y, x), (m, y, x), float64."""
    xp, same = space.xp, Y is None
    largest = float(abs(X).max() if same else max(abs(X).max(), abs(Y).max()))
    exponent = int(np.frexp(largest)[1])  # images of at most 1, whose squares do not overflow
    left = X.astype(np.float64) * np.ldexp(1.0, -exponent) if exponent else X.astype(np.float64)
    right = left
    if not same:
        right = Y.astype(np.float64) * np.ldexp(1.0, -exponent)
    n, m = left.shape[0], right.shape[0]
    norms = [_norms(left, net, xp)]
    norms.append(norms[0] if same else _norms(right, net, xp))
    grid = PatchPairs((1, 1, 1), (1, 1, 1), (1, *left.shape[1:]), (0, net.pool - 1, net.pool - 1))
    wanted = np.ones((n, m), bool)
    host = np.argwhere(np.triu(wanted) if same else wanted)
    total = xp.zeros(len(host))
    for move in grid.moves():
        weight = grid.weight(move) / grid.total()
        for some, places in _chunks(host, left.shape, net, space):
            total[some] += weight * _summed(left, right, norms, places, move[1:], net, space)
    gram = xp.zeros((n, m))
    rows, columns = space.asarray(host[:, 0]), space.asarray(host[:, 1])
    gram[rows, columns] = total
    if same:
        gram = xp.triu(gram) + xp.triu(gram, 1).T
    if 2 * exponent + int(np.frexp(float(abs(gram).max()))[1]) > 1023:
        raise ValueError("The kernel overflows float64; rescale the images.")
    for power in (exponent, exponent):  # the square of a float need not be one
        gram *= np.ldexp(1.0, power)
    return gram


def _summed(
    left: Any, right: Any, norms: list[Any], places: Any, move: Any, net: Network, space: Space
) -> Any:
    """Return, for each pair, the sum over places of one and, `move` away, of the other."""
    from fastmm.kernels.convolving import convolve

    xp, reach = space.xp, net.reach
    ay, ax = (max(0, -d) for d in move)
    by, bx = (max(0, d) for d in move)
    high, wide = (s - abs(d) for s, d in zip(left.shape[1:], move, strict=True))
    pairs, inner = places.shape[0], slice(reach, reach + high)
    along = slice(reach, reach + wide)
    planes = [
        xp.zeros((1 + net.tangent, pairs, high + 2 * reach, wide + 2 * reach)) for _ in range(2)
    ]
    xp.multiply(
        left[places[:, 0], ay : ay + high, ax : ax + wide],
        right[places[:, 1], by : by + high, bx : bx + wide],
        out=planes[0][0, :, inner, along],
    )
    layout = space.asarray(np.array([reach, ay, ax, by, bx, net.tangent], np.int64))
    for layer in range(net.depth):
        before, after = planes[layer % 2], planes[1 - layer % 2]
        space.launch(
            convolve, pairs * high * wide, before, after, norms[0][layer], norms[1][layer],
            places, layout,
        )  # fmt: skip
    return planes[net.depth % 2][:, :, inner, along].sum(axis=(0, 2, 3))


def _norms(images: Any, net: Network, xp: Any) -> Any:
    """Return the squared norms at each place after the filters of each layer."""
    found, size, shape = [], 2 * net.reach + 1, images.shape
    last = images**2
    for _ in range(net.depth):
        wide = xp.zeros((shape[0], shape[1] + 2 * net.reach, shape[2] + 2 * net.reach))
        wide[:, net.reach : net.reach + shape[1], net.reach : net.reach + shape[2]] = last
        last = xp.zeros(shape)
        # As the kernel sums, so that an image and itself have an angle of 0.
        for v in range(size):
            for u in range(size):
                last += wide[:, v : v + shape[1], u : u + shape[2]]
        last *= 1.0 / (size * size)
        found.append(last)
    return xp.stack(found)


def _chunks(
    host: np.ndarray[Any, Any], shape: tuple[int, ...], net: Network, space: Space
) -> Iterator[tuple[slice, Any]]:
    pixels = (shape[1] + 2 * net.reach) * (shape[2] + 2 * net.reach)
    bytes_of = 16 * pixels * (1 + net.tangent)
    step = max(1, PLANE_BYTES.get(space.kind, PLANE_BYTES["cpu"]) // bytes_of)
    for start in range(0, len(host), step):
        some = slice(start, min(start + step, len(host)))
        yield some, space.asarray(np.ascontiguousarray(host[some]))
