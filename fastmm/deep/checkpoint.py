"""Files that an interrupted training run goes on from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastmm._files import replacing
from fastmm.deep.inputs import Inputs
from fastmm.deep.tensors import as_tensor
from fastmm.errors import ModelFileError
from fastmm.model_file import _checksum, _safetensors

__all__ = ["Checkpoint", "fingerprint"]

_VERSION = 1
_PIECE = 1 << 20  # values hashed at once


class Checkpoint:
    """The file of one run in a folder of checkpoints, named after what the run depends on.

    In the safetensors format, with a checksum; written anew after each epoch, as a whole or
    not at all. Nothing is pickled.
    """

    def __init__(self, folder: str | Path, run: str) -> None:
        self.path = Path(folder) / f"{run[:24]}.safetensors"
        self.run = run
        self.safetensors = _safetensors()

    def save(self, tensors: Mapping[str, Tensor], told: Mapping[str, Any]) -> None:
        """Write tensors and plain data in place of what was there."""
        arrays = {name: np.ascontiguousarray(t.detach().cpu()) for name, t in tensors.items()}
        header = json.dumps({"format": _VERSION, "run": self.run, **told}, allow_nan=False)
        metadata = {"fastmm_training": header, "sha256": _checksum(header, arrays)}
        with replacing(self.path) as draft:
            draft.write_bytes(self.safetensors.numpy.save(arrays, metadata=metadata))

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Read what was written, None if there is nothing yet."""
        if not self.path.exists():
            return None
        try:
            with self.safetensors.safe_open(self.path, framework="numpy") as file:
                metadata = file.metadata() or {}
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (self.safetensors.SafetensorError, OSError, ValueError, TypeError) as error:
            raise self.damaged(error) from None
        header = metadata.get("fastmm_training", "")
        if metadata.get("sha256") != _checksum(header, arrays):
            raise self.damaged("its checksum is wrong")
        told = json.loads(header)
        if told.get("format") != _VERSION or told.get("run") != self.run:
            raise self.damaged("it is of another run or version")
        return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}, told

    def damaged(self, why: object) -> ModelFileError:
        """Return the error that says so."""
        return ModelFileError(
            f"{self.path.name} is damaged or no checkpoint: {why}. Remove it to start anew."
        )


def fingerprint(inputs: Inputs, *parts: Any) -> str:
    """Hash all that a run depends on: the data, and `parts` that are arrays or plain data."""
    digest = hashlib.sha256()
    for name, array in inputs.arrays.items():
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.packbits(inputs.present[name]).tobytes())
        tensor = as_tensor(array, inputs.space)
        step = max(1, _PIECE // prod(tensor.shape[1:]))
        for start in range(0, len(tensor), step):
            piece = tensor[start : start + step].cpu().contiguous().numpy()
            digest.update(piece.data)
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str} {part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update(json.dumps(part, sort_keys=True, default=str).encode())
    return digest.hexdigest()
