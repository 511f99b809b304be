"""What the steps of an epoch draw from its generator; and their learning rate."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "generator_of",
    "hide_columns",
    "hide_modalities",
    "keep_features",
    "schedule",
    "steps_of",
]

_STEPS, _SMALLEST = 16, 8  # steps of an epoch that batches shrink for, rows that they keep
_WARM = 0.05  # share of all steps in which the learning rate rises


def generator_of(seed: int, epoch: int) -> torch.Generator:
    """Return the generator of an epoch, which nothing but the seed and its number decide."""
    (state,) = np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state) >> 1)


def hide_modalities(present: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Hide modalities of some rows, never all that a row has."""
    if share == 0 or present.shape[1] == 1:
        return present
    kept = present & (torch.rand(present.shape, generator=generator) >= share).to(present.device)
    return torch.where(kept.any(dim=1, keepdim=True), kept, present)


def hide_columns(rows: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Put the mean, 0, in place of some columns of each row; the others grow by as much."""
    keep = keep_features(len(rows), rows.shape[1], share, generator)
    return rows if keep is None else rows * keep.to(rows.device)


def keep_features(n: int, width: int, share: float, generator: torch.Generator) -> Tensor | None:
    """Draw the factors of dropout, 0 for a share of the features; None where it is idle."""
    if share == 0:
        return None
    kept = torch.rand((n, width), generator=generator) >= share
    return kept.to(torch.float32) / (1 - share)


def steps_of(rows: int, batch_size: int) -> int:
    """Return the number of steps of an epoch; small cohorts have smaller batches."""
    size = min(batch_size, max(_SMALLEST, rows // _STEPS))
    return -(-rows // size)


def schedule(step: int, steps: int) -> float:
    """Return the share of the learning rate: a short rise, then half a cosine to 0."""
    warm = max(1, round(_WARM * steps))
    return min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * step / steps))
