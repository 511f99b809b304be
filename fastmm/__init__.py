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
    from fastmm.convolution_kernels import convolutional_kernel as convolutional_kernel
    from fastmm.deep.classifier import DeepClassifier as DeepClassifier
    from fastmm.deep_kernels import arccos_kernel as arccos_kernel
    from fastmm.deep_kernels import ntk_kernel as ntk_kernel
    from fastmm.features.dictionary import PatchDictionary as PatchDictionary
    from fastmm.features.fisher import FisherVectors as FisherVectors
    from fastmm.features.statistics import patch_statistics as patch_statistics
    from fastmm.fuse import StackedFeatures as StackedFeatures
    from fastmm.fuse import stack_features as stack_features
    from fastmm.image.filters import denoise as denoise
    from fastmm.image.filters import equalize as equalize
    from fastmm.image.intensity import clip_histogram as clip_histogram
    from fastmm.image.intensity import normalize as normalize
    from fastmm.image.intensity import window as window
    from fastmm.image.merging import merge_patches as merge_patches
    from fastmm.image.patches import extract_patches as extract_patches
    from fastmm.image.preprocessing import preprocess as preprocess
    from fastmm.image.resampling import resample as resample
    from fastmm.image.resizing import resize as resize
    from fastmm.image.sampling import sample_patches as sample_patches
    from fastmm.loading.batch import load_images as load_images
    from fastmm.modalities import ImageModality as ImageModality
    from fastmm.modalities import TableModality as TableModality
    from fastmm.model_file import load_model as load_model
    from fastmm.model_file import save_model as save_model
    from fastmm.multimodal import MultimodalClassifier as MultimodalClassifier
    from fastmm.multimodal_regressor import MultimodalRegressor as MultimodalRegressor
    from fastmm.pairwise import laplacian_kernel as laplacian_kernel
    from fastmm.pairwise import linear_kernel as linear_kernel
    from fastmm.pairwise import polynomial_kernel as polynomial_kernel
    from fastmm.pairwise import rbf_kernel as rbf_kernel
    from fastmm.patch_kernels import patch_kernel as patch_kernel
    from fastmm.planner import plan as plan
    from fastmm.read.reading import read_volume as read_volume
    from fastmm.read.scanning import scan as scan
    from fastmm.read.series_info import SeriesInfo as SeriesInfo
    from fastmm.read.volume import Volume as Volume
    from fastmm.solve.kernel.feature_classifier import (
        FeatureMachineClassifier as FeatureMachineClassifier,
    )
    from fastmm.solve.kernel.feature_regressor import (
        FeatureMachineRegressor as FeatureMachineRegressor,
    )
    from fastmm.solve.kernel.kernel_ridge import KernelRidge as KernelRidge
    from fastmm.solve.kernel.kernel_ridge_search import KernelRidgeCV as KernelRidgeCV
    from fastmm.solve.kernel.lssvm import LSSVC as LSSVC
    from fastmm.solve.kernel.lssvm_search import LSSVCCV as LSSVCCV
    from fastmm.solve.kernel.nystrom_features import NystromFeatures as NystromFeatures
    from fastmm.solve.patches.dense_ridge import DensePatchRidge as DensePatchRidge
    from fastmm.solve.ridge.classifier import RidgeClassifier as RidgeClassifier
    from fastmm.solve.ridge.classifier import RidgeClassifierCV as RidgeClassifierCV
    from fastmm.solve.ridge.combination import LinearCombination as LinearCombination
    from fastmm.solve.ridge.ridge import Ridge as Ridge
    from fastmm.solve.ridge.search import RidgeCV as RidgeCV
    from fastmm.solve.svm.svm import SVC as SVC

_HOMES = {
    "load_images": "loading.batch",
    "convolutional_kernel": "convolution_kernels",
    "DeepClassifier": "deep.classifier",
    "PatchDictionary": "features.dictionary",
    "arccos_kernel": "deep_kernels",
    "ntk_kernel": "deep_kernels",
    "FisherVectors": "features.fisher",
    "patch_statistics": "features.statistics",
    "StackedFeatures": "fuse",
    "stack_features": "fuse",
    "denoise": "image.filters",
    "equalize": "image.filters",
    "clip_histogram": "image.intensity",
    "normalize": "image.intensity",
    "window": "image.intensity",
    "merge_patches": "image.merging",
    "extract_patches": "image.patches",
    "preprocess": "image.preprocessing",
    "resample": "image.resampling",
    "resize": "image.resizing",
    "sample_patches": "image.sampling",
    "ImageModality": "modalities",
    "TableModality": "modalities",
    "load_model": "model_file",
    "save_model": "model_file",
    "MultimodalClassifier": "multimodal",
    "MultimodalRegressor": "multimodal_regressor",
    "laplacian_kernel": "pairwise",
    "linear_kernel": "pairwise",
    "polynomial_kernel": "pairwise",
    "rbf_kernel": "pairwise",
    "patch_kernel": "patch_kernels",
    "plan": "planner",
    "read_volume": "read.reading",
    "scan": "read.scanning",
    "SeriesInfo": "read.series_info",
    "Volume": "read.volume",
    "LinearCombination": "solve.ridge.combination",
    "FeatureMachineClassifier": "solve.kernel.feature_classifier",
    "FeatureMachineRegressor": "solve.kernel.feature_regressor",
    "KernelRidge": "solve.kernel.kernel_ridge",
    "KernelRidgeCV": "solve.kernel.kernel_ridge_search",
    "Ridge": "solve.ridge.ridge",
    "LSSVC": "solve.kernel.lssvm",
    "LSSVCCV": "solve.kernel.lssvm_search",
    "NystromFeatures": "solve.kernel.nystrom_features",
    "DensePatchRidge": "solve.patches.dense_ridge",
    "RidgeClassifier": "solve.ridge.classifier",
    "RidgeClassifierCV": "solve.ridge.classifier",
    "RidgeCV": "solve.ridge.search",
    "SVC": "solve.svm.svm",
}
_MODULES = {"datasets", "errors", "metrics", "streaming"}

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
