"""Libraries beside a CuPy that has no GPU: cuCIM, which is scikit-image's twin, and PyTorch."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from strict_array import ndarray, wrapped

# What fastmm calls, with the arguments that cuCIM 26.10 takes.
CUCIM = {
    "exposure.equalize_adapthist": ("image", "kernel_size", "clip_limit", "nbins"),
    "restoration.denoise_tv_chambolle": (
        "image", "weight", "eps", "max_num_iter", "channel_axis",
    ),
}  # fmt: skip


def use_cucim(patch: Any) -> None:
    """Make ``import cucim.skimage`` find scikit-image's functions, on arrays of the device."""
    patch.setitem(sys.modules, "cucim", ModuleType("cucim"))
    patch.setitem(sys.modules, "cucim.skimage", ModuleType("cucim.skimage"))
    for path, parameters in CUCIM.items():
        module, _, name = path.rpartition(".")
        made = ModuleType(f"cucim.skimage.{module}")
        function = getattr(import_module(f"skimage.{module}"), name)
        setattr(made, name, _of_device(function, parameters))
        patch.setitem(sys.modules, made.__name__, made)


def use_torch(patch: Any) -> None:
    """Let networks take arrays of the device, and run where PyTorch does here."""
    import cupy
    import torch

    share = torch.from_dlpack
    for name in ("classifier", "model", "path_gradients"):
        module = import_module(f"fastmm.deep.{name}")
        patch.setattr(module, "torch_device", lambda device, space: torch.device("cpu"))
    patch.setattr(
        torch,
        "from_dlpack",
        lambda a: torch.from_numpy(a._host) if isinstance(a, ndarray) else share(a),
    )
    patch.setattr(cupy, "from_dlpack", lambda tensor: wrapped(tensor.numpy()), raising=False)


def _of_device(function: Any, parameters: tuple[str, ...]) -> Any:
    def call(image: Any, **options: Any) -> Any:
        if not isinstance(image, ndarray):
            raise TypeError(f"cuCIM was given {type(image).__name__}")
        if unknown := set(options) - set(parameters):
            raise TypeError(f"cuCIM takes no {sorted(unknown)}")
        return wrapped(function(image._host, **options))

    return call
