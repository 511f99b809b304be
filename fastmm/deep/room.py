"""Bytes that a network takes: to train on batches, and how many rows it predicts at once."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, prod
from typing import Any, NamedTuple

import torch

from fastmm.deep.draws import steps_of
from fastmm.deep.network import ConvBlock, FusionNetwork
from fastmm.streams.lazy_rows import LazyRows
from fastmm.streams.limits import check_limit, refuse_below

__all__ = ["check_room", "rows_within"]

_FLOAT = 4
_STATES = 8  # copies of the weights: averaged, best, gradients, moments, and what is handed over
_SAVED = 24  # more, while a checkpoint is written
_INPUTS = 7  # float32 copies of a row: standardised, moved, and where from
_WORK = 40 << 20  # of pieces that are summed, and of the libraries' own buffers


class _Maps(NamedTuple):
    """Values of a row that a network makes: all of them, and the largest; and its weights."""

    total: int
    largest: int
    weights: int


def check_room(network: FusionNetwork, model: Any, arrays: Mapping[str, Any]) -> None:
    """Refuse a limit in which a batch and the network have no room.

    `network` is on the meta device; nothing is computed.
    """
    limit = check_limit(model.memory_limit)
    if limit is None:
        return
    n = len(next(iter(arrays.values())))
    maps = _maps_of(network, arrays)
    rows = max(ceil(n / steps_of(n, int(model.batch_size))), min(n, int(model.batch_size)))
    fixed = _held(arrays, 0) + _WORK
    states = _STATES + (_SAVED if model.checkpoint is not None else 0)
    fixed += _FLOAT * states * maps.weights
    batch = _held(arrays, rows) - _held(arrays, 0)
    batch += _FLOAT * rows * (3 * maps.total // 2 + 2 * maps.largest + _INPUTS * _values(arrays))
    refuse_below(
        fixed + batch, limit,
        f"a batch of {rows} rows and a network of {maps.weights} weights take that much. Give a "
        "smaller `batch_size` or `width`",
    )  # fmt: skip


def rows_within(limit: int | None, network: FusionNetwork, arrays: Mapping[str, Any]) -> int:
    """Return how many rows are predicted at once; all that one likes without a limit.

    `network` is on the meta device.
    """
    if limit is None:
        return len(next(iter(arrays.values())))
    maps = _maps_of(network, arrays)
    fixed = _held(arrays, 0) + 2 * _FLOAT * maps.weights + _WORK // 2
    each = _held(arrays, 1) - _held(arrays, 0)
    each += _FLOAT * (4 * maps.largest + _INPUTS * _values(arrays))
    refuse_below(fixed + each, limit, "predicting one row takes that much")
    return int((limit - fixed) // each)


def _held(arrays: Mapping[str, Any], rows: int) -> int:
    """Return the bytes that reading so many rows of all modalities takes."""
    return sum(array.held(rows) for array in arrays.values() if isinstance(array, LazyRows))


def _values(arrays: Mapping[str, Any]) -> int:
    return sum(prod(array.shape[1:]) for array in arrays.values())


def _maps_of(network: FusionNetwork, arrays: Mapping[str, Any]) -> _Maps:
    """Count what a row becomes on its way through a network, without computing it."""
    sizes: list[int] = []

    def note(module: Any, given: Any, made: Any) -> None:
        sizes.append(made.numel())

    for module in network.modules():
        if isinstance(module, ConvBlock) or not list(module.children()):
            module.register_forward_hook(note)
    with torch.no_grad(), torch.device("meta"):
        rows = {name: torch.empty((1, *array.shape[1:])) for name, array in arrays.items()}
        network(rows, torch.ones((1, len(network.names)), dtype=torch.bool))
    weights = sum(p.numel() for p in network.parameters())
    return _Maps(sum(sizes), max(sizes), weights)
