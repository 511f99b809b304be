"""Forward passes of a network, without gradients and without surprises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from fastmm.deep.network import FusionNetwork

__all__ = ["deterministic", "features_of", "logits_of"]


def logits_of(network: FusionNetwork, inputs: dict[str, Tensor], present: Tensor) -> Tensor:
    """Compute logits without a gradient, in the dtype of the weights."""
    network.eval()
    dtype = network.absent.dtype
    with torch.inference_mode():
        logits: Tensor = network({name: t.to(dtype) for name, t in inputs.items()}, present)
    return logits


def features_of(network: FusionNetwork, inputs: dict[str, Tensor], present: Tensor) -> Tensor:
    """Compute the features of all modalities side by side, without a gradient."""
    network.eval()
    dtype = network.absent.dtype
    with torch.inference_mode():
        own = {name: t.to(dtype) for name, t in inputs.items()}
        return network.features(own, present).flatten(1)


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Hold a GPU to algorithms that give the same bits each time, and to float32."""
    if device.type != "cuda":
        yield
        return
    with (
        torch.cuda.device(device),
        torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ),
    ):
        yield
