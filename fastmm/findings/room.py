"""Bytes of what a study computes in memory beside its fits, which a limit may leave no room for."""

from __future__ import annotations

from collections.abc import Mapping

from fastmm.blocks import Block
from fastmm.fusion.row_parts import bytes_in_memory, take_rows

__all__ = ["SHUFFLED", "curve_bytes", "refit_bytes"]

SHUFFLED = 5.0  # bytes of a patient in each permutation: which labels it takes


def refit_bytes(
    blocks: Mapping[str, Block], form: str, patients: int, targets: int, permutations: int
) -> float:
    """Return what exact refits to permuted labels take: fits, and products for each patient."""
    n = len(next(iter(blocks.values())).present)
    sides = min(patients, permutations * targets)
    return bytes_in_memory(blocks, form, False) + 24.0 * n * sides + SHUFFLED * patients * 1000


def curve_bytes(blocks: Mapping[str, Block], form: str, most: int) -> float:
    """Return what a learning curve takes: its rows, and seven of their kernels."""
    count = min(most, len(next(iter(blocks.values())).present))
    few = take_rows(blocks, range(count))
    return bytes_in_memory(few, form, False) + 56.0 * count * count
