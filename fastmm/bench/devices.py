"""The devices of this machine: which there are, what they are called, how large they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastmm._space import Space, cuda_available, space_for
from fastmm.bench.machine import memory
from fastmm.environment import gpus, processor

__all__ = ["current", "find_spaces", "memory_of", "model_of", "name_of"]


def find_spaces(device: str) -> list[Space]:
    """Return the devices to measure: the CPU ("cpu"), each GPU ("cuda"), or all ("auto")."""
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f'`device` must be one of "auto", "cpu", "cuda", got {device!r}.')
    if device == "cuda" and not cuda_available():
        space_for("cuda")  # says what is wrong
    cards = [Space("cuda", i) for i in range(len(gpus()))] if device != "cpu" else []
    return ([] if device == "cuda" else [Space("cpu")]) + cards


@contextmanager
def current(space: Space) -> Iterator[None]:
    """Make a GPU the one that CuPy works on, within the body."""
    if space.kind != "cuda":
        yield
        return
    with space.xp.cuda.Device(space.device):
        yield


def name_of(space: Space) -> str:
    """Return "cpu" or "cuda:0" and so on."""
    return "cpu" if space.kind == "cpu" else f"cuda:{space.device}"


def model_of(space: Space) -> str:
    """Return the name of the processor or of the GPU."""
    return processor() if space.kind == "cpu" else gpus()[space.device]


def memory_of(space: Space) -> int:
    """Return the bytes of memory of a device."""
    if space.kind == "cuda":
        return int(space.xp.cuda.runtime.memGetInfo()[1])
    return memory()
