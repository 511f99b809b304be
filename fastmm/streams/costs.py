"""What an operator needs on the way, by which chunks are sized."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Cost"]


@dataclass(frozen=True)
class Cost:
    """What an operator needs beside its input and its result.

    Attributes
    ----------
    inputs : float
        Copies of the chunk, as the float type that the operator computes in.
    outputs : float
        Copies of the chunk's result.
    images : float
        Copies of a single image, as above, however many images a chunk has.
    size, device_size : int
        Bytes that depend on nothing, on the host and on a GPU.
    by_core : bool
        Whether each core of the host does best with a chunk of its own: for operators that are
        one kernel.

    Examples
    --------
    >>> Cost(inputs=2.0).size
    0
    """

    inputs: float = 1.0
    outputs: float = 0.0
    images: float = 1.0
    size: int = 0
    device_size: int = 0
    by_core: bool = False
