"""fastmm: multimodal learning on medical images, on the GPU and on the CPU.

For research only; not a medical device.

Names are imported when they are first used, so that ``import fastmm`` costs next to
nothing and pulls in none of Numba, CuPy, scikit-learn, pandas or Matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from fastmm.batch import load_images as load_images
    from fastmm.fuse import StackedFeatures as StackedFeatures
    from fastmm.fuse import stack_features as stack_features
    from fastmm.image.intensity import normalize as normalize
    from fastmm.image.intensity import window as window
    from fastmm.image.patches import extract_patches as extract_patches
    from fastmm.image.resizing import resize as resize
    from fastmm.modalities import ImageModality as ImageModality
    from fastmm.modalities import TableModality as TableModality
    from fastmm.model_file import load_model as load_model
    from fastmm.model_file import save_model as save_model
    from fastmm.multimodal import MultimodalClassifier as MultimodalClassifier
    from fastmm.pairwise import linear_kernel as linear_kernel
    from fastmm.pairwise import rbf_kernel as rbf_kernel
    from fastmm.read.reading import read_volume as read_volume
    from fastmm.read.scanning import scan as scan
    from fastmm.read.series_info import SeriesInfo as SeriesInfo
    from fastmm.read.volume import Volume as Volume
    from fastmm.solve.linear import Ridge as Ridge
    from fastmm.solve.linear import RidgeCV as RidgeCV
    from fastmm.solve.lssvm import LSSVC as LSSVC
    from fastmm.solve.lssvm import LSSVCCV as LSSVCCV

_HOMES = {
    "StackedFeatures": "fuse",
    "stack_features": "fuse",
    "normalize": "image.intensity",
    "window": "image.intensity",
    "extract_patches": "image.patches",
    "resize": "image.resizing",
    "load_model": "model_file",
    "save_model": "model_file",
    "ImageModality": "modalities",
    "MultimodalClassifier": "multimodal",
    "TableModality": "modalities",
    "linear_kernel": "pairwise",
    "rbf_kernel": "pairwise",
    "load_images": "batch",
    "Volume": "read.volume",
    "SeriesInfo": "read.series_info",
    "read_volume": "read.reading",
    "scan": "read.scanning",
    "Ridge": "solve.linear",
    "RidgeCV": "solve.linear",
    "LSSVC": "solve.lssvm",
    "LSSVCCV": "solve.lssvm",
}
_MODULES = {"datasets", "errors", "metrics"}

__all__ = sorted([*_HOMES, *_MODULES, "__version__"])


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"fastmm.{_HOMES[name]}"), name)
    elif name in _MODULES:
        value = import_module(f"fastmm.{name}")
    else:
        raise AttributeError(f"module 'fastmm' has no attribute {name!r}")
    globals()[name] = value  # the next look-up finds it at once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
