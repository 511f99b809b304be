"""Rows of a training set as batches on the device: gathered, standardised, gaps closed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastmm.deep.inputs import Inputs
from fastmm.deep.tensors import LazyTensor, as_tensor
from fastmm.streams.lazy_rows import read_ahead

__all__ = ["Batches", "learn_scaling"]

Scaling = Mapping[str, Mapping[str, np.ndarray[Any, Any]]]
_PIECE = 1 << 20  # values brought to float64 at once


class Batches:
    """Gives rows by number, as float32 tensors on a device, zeros where a row lacks one."""

    def __init__(
        self, inputs: Inputs, names: list[str], scaling: Scaling, device: torch.device
    ) -> None:
        self.device = device
        self.tensors: dict[str, Any] = {
            name: as_tensor(a, inputs.space) for name, a in inputs.arrays.items()
        }
        self.present = torch.zeros((inputs.n, len(names)), dtype=torch.bool)
        for column, name in enumerate(names):
            if name in inputs.present:
                self.present[:, column] = torch.from_numpy(inputs.present[name])
        self.columns = {name: names.index(name) for name in self.tensors}
        self.scaling = {name: _fitting(scaling[name], t) for name, t in self.tensors.items()}
        self._bring_near()

    def take(self, rows: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return the modalities of some rows and which are there, (rows, modalities)."""
        return self._standardised(rows, self._gathered(rows))

    def in_turn(
        self, parts: Iterable[Tensor]
    ) -> Iterator[tuple[Tensor, tuple[dict[str, Tensor], Tensor]]]:
        """Yield each part and what `take` returns; what lies on a disk is read ahead."""
        for rows, given in read_ahead(self._gathered, parts, self.lazy):
            yield rows, self._standardised(rows, given)

    @property
    def lazy(self) -> bool:
        """Say whether rows are read from a disk."""
        return any(isinstance(tensor, LazyTensor) for tensor in self.tensors.values())

    def _gathered(self, rows: Tensor) -> dict[str, Tensor]:
        return {name: t[rows.to(t.device)] for name, t in self.tensors.items()}

    def _standardised(
        self, rows: Tensor, given: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], Tensor]:
        present = self.present[rows]
        inputs = {}
        for name, values in given.items():
            mean, scale = self.scaling[name]
            if not values.is_floating_point():
                values = values.to(mean.dtype)
            near = values.to(self.device, non_blocking=True)
            near = ((near - mean) / scale).to(torch.float32)
            there = present[:, self.columns[name]].to(self.device)
            inputs[name] = torch.where(there.reshape(-1, *(1,) * (near.ndim - 1)), near, 0.0)
        return inputs, present.to(self.device)

    def _bring_near(self) -> None:
        """Keep all of it on the GPU where it takes at most a quarter of what is free."""
        self.scaling = {
            name: (mean.to(self.device), scale.to(self.device))
            for name, (mean, scale) in self.scaling.items()
        }
        if self.device.type != "cuda":
            return
        far = {
            name: t
            for name, t in self.tensors.items()
            if t.device != self.device and not isinstance(t, LazyTensor)
        }
        size = sum(t.numel() * t.element_size() for t in far.values())
        if size <= torch.cuda.mem_get_info(self.device)[0] // 4:
            self.tensors |= {name: t.to(self.device) for name, t in far.items()}


def learn_scaling(
    inputs: Inputs, rows: np.ndarray[Any, Any]
) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
    """Compute mean and deviation of each column of tables and each channel of images.

    Only of `rows` that have the modality; summed in float64, the deviations about the
    mean. What is constant is given the deviation 1.
    """
    scaling = {}
    for name, array in inputs.arrays.items():
        own = rows[inputs.present[name][rows]]
        if not len(own):
            raise ValueError(f"Modality {name!r} must be there in at least one training row.")
        tensor = as_tensor(array, inputs.space)
        axes = [0, *range(2, tensor.ndim)]
        count = len(own) * prod(tensor.shape[2:])
        step = max(1, _PIECE // prod(tensor.shape[1:]))
        pieces = [torch.from_numpy(own[i : i + step]) for i in range(0, len(own), step)]
        mean = _sums(tensor, pieces, axes) / count
        wide = mean.reshape(-1, *(1,) * (tensor.ndim - 2))
        scale = (_sums(tensor, pieces, axes, wide) / count).sqrt()
        least = torch.finfo(torch.float32).eps * mean.abs()
        scale = torch.where(scale > least, scale, 1.0)
        scaling[name] = {"mean": mean.cpu().numpy(), "scale": scale.cpu().numpy()}
    return scaling


def _sums(tensor: Any, pieces: list[Tensor], axes: list[int], mean: Any = None) -> Any:
    """Sum rows over some axes in float64; their squares about a mean, if there is one."""
    total: Any = 0.0
    lazy = isinstance(tensor, LazyTensor)
    for _, given in read_ahead(lambda rows: tensor[rows.to(tensor.device)], pieces, lazy):
        part = given.to(torch.float64)
        total = total + (part if mean is None else (part - mean).square()).sum(axes)
    return total


def _fitting(scaling: Mapping[str, np.ndarray[Any, Any]], tensor: Any) -> tuple[Tensor, Tensor]:
    """Return mean and deviation as what the tensor is read as, along its second axis."""
    wide = tensor.element_size() > 4 or tensor.dtype is torch.int32
    dtype = torch.float64 if wide else torch.float32
    shape = (-1, *(1,) * (tensor.ndim - 2))
    mean, scale = (
        torch.as_tensor(scaling[key]).to(dtype).reshape(shape) for key in ("mean", "scale")
    )
    return mean, scale
