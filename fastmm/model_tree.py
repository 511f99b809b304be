"""Turn models into trees of JSON with arrays beside them, and such trees into models."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["CLASSES", "read_tree", "write_tree"]

# Where the classes live that a file may name; anything else is refused.
CLASSES = {
    "LinearCombination": "fastmm.solve.ridge.combination",
    "FeatureMachineClassifier": "fastmm.solve.kernel.feature_classifier",
    "FeatureMachineRegressor": "fastmm.solve.kernel.feature_regressor",
    "KernelRidge": "fastmm.solve.kernel.kernel_ridge",
    "KernelRidgeCV": "fastmm.solve.kernel.kernel_ridge_search",
    "DensePatchRidge": "fastmm.solve.patches.dense_ridge",
    "Ridge": "fastmm.solve.ridge.ridge",
    "LSSVC": "fastmm.solve.kernel.lssvm",
    "LSSVCCV": "fastmm.solve.kernel.lssvm_search",
    "NystromFeatures": "fastmm.solve.kernel.nystrom_features",
    "RidgeClassifier": "fastmm.solve.ridge.classifier",
    "RidgeClassifierCV": "fastmm.solve.ridge.classifier",
    "RidgeCV": "fastmm.solve.ridge.search",
    "SVC": "fastmm.solve.svm.svm",
    "DeepClassifier": "fastmm.deep.classifier",
    "MultimodalClassifier": "fastmm.multimodal",
    "ImageModality": "fastmm.modalities",
    "TableModality": "fastmm.modalities",
    "FisherVectors": "fastmm.features.fisher",
    "PatchDictionary": "fastmm.features.dictionary",
    "MultimodalRegressor": "fastmm.multimodal_regressor",
    "BlockFusion": "fastmm.fusion.block_fusion",
    "LateFusion": "fastmm.fusion.late_fusion",
    "DeepFusion": "fastmm.fusion.deep_fusion",
    "Novelty": "fastmm.fusion.novelty",
    "Conformity": "fastmm.validate.conformity",
    "TableEncoder": "fastmm.features.table",
    "StackedFeatures": "fastmm.fuse",
}
_MOST_TEXT = 100_000_000  # bytes of an array of texts, as wide as its longest one


def write_tree(value: Any, arrays: dict[str, Any], name: str) -> Any:
    """Turn a value into JSON, its arrays put into `arrays`."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return write_tree(value.item(), arrays, name)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)):
        items = [write_tree(v, arrays, f"{name}.{i}") for i, v in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, dict):
        return {"dict": [[k, write_tree(v, arrays, f"{name}.{k}")] for k, v in value.items()]}
    if isinstance(value, slice):
        return {"slice": [value.start, value.stop]}
    if type(value).__name__ in CLASSES and type(value).__module__.startswith("fastmm."):
        state = {
            key: write_tree(v, arrays, f"{name}.{key}")
            for key, v in vars(value).items()
            if not key.startswith("cv_")
        }
        return {"object": type(value).__name__, "state": state}
    if hasattr(value, "dtype"):
        host = np.ascontiguousarray(value.get() if hasattr(value, "get") else value)
        if host.dtype.kind in "UO":
            return {"texts": [str(v) for v in host.tolist()]}
        if host.dtype.kind not in "biuf":
            raise TypeError(f"`{name}` of dtype {host.dtype} cannot go into a model file.")
        arrays[name] = host.reshape(value.shape)
        return {"array": name}
    raise TypeError(f"`{name}` of type {type(value).__name__} cannot go into a model file.")


def read_tree(node: Any, arrays: dict[str, Any]) -> Any:
    """Turn what `write_tree` made back into the value."""
    if isinstance(node, list):
        return [read_tree(v, arrays) for v in node]
    if not isinstance(node, dict):
        return node
    if "object" in node:
        if node["object"] not in CLASSES:
            raise ValueError(f"class {node['object']!r} is not allowed")
        cls = getattr(import_module(CLASSES[node["object"]]), node["object"])
        made = cls.__new__(cls)
        for key, value in node["state"].items():
            if not _may_hold(cls, key):
                raise ValueError(f"attribute {key!r} is not allowed")
            object.__setattr__(made, key, read_tree(value, arrays))
        if hasattr(made, "_check_loaded"):  # what a checksum cannot know: that parts fit
            made._check_loaded()
        return made
    if "tuple" in node:
        return tuple(read_tree(v, arrays) for v in node["tuple"])
    if "dict" in node:
        return {key: read_tree(v, arrays) for key, v in node["dict"]}
    if "slice" in node:
        start, stop = node["slice"]
        return slice(start, stop)
    if "texts" in node:
        return _texts(node["texts"])
    return arrays[node["array"]]


def _may_hold(cls: type, key: str) -> bool:
    """Whether a file may set an attribute: a name, and none of what the class can do."""
    return key.isidentifier() and not key.startswith("__") and not callable(getattr(cls, key, None))


def _texts(texts: Any) -> Any:
    """Return an array of texts, unless one long text would make it far larger than the file."""
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("a list of texts holds something else")
    longest = max(map(len, texts), default=0)
    if 4 * longest * len(texts) > _MOST_TEXT:
        raise ValueError(f"{len(texts)} texts of up to {longest} letters are too many")
    return np.array(texts, dtype=f"U{max(longest, 1)}")
