"""Save fitted models as arrays and JSON, and load them without running any code in them.

The file is in the safetensors format: a header of JSON, then plain arrays. The header
describes the model as a tree of values and objects of a fixed list of classes; nothing
is pickled, and a checksum covers all of it.
"""

from __future__ import annotations

import hashlib
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from fastmm._files import replacing
from fastmm.errors import ModelFileError

__all__ = ["load_model", "save_model"]

_VERSION = 2
# Where the classes live that a file may name; anything else is refused.
_CLASSES = {
    "LinearCombination": "fastmm.solve.ridge.combination",
    "FeatureMachineClassifier": "fastmm.solve.kernel.feature_machine",
    "FeatureMachineRegressor": "fastmm.solve.kernel.feature_machine",
    "KernelRidge": "fastmm.solve.kernel.kernel_ridge",
    "KernelRidgeCV": "fastmm.solve.kernel.kernel_ridge_search",
    "DensePatchRidge": "fastmm.solve.patches.dense_ridge",
    "Ridge": "fastmm.solve.ridge.ridge",
    "LSSVC": "fastmm.solve.kernel.lssvm",
    "LSSVCCV": "fastmm.solve.kernel.lssvm_search",
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
    "BlockFusion": "fastmm.block_fusion",
    "LateFusion": "fastmm.late_fusion",
    "DeepFusion": "fastmm.deep_fusion",
    "Novelty": "fastmm.novelty",
    "Conformity": "fastmm.conformity",
    "TableEncoder": "fastmm.features.table",
    "StackedFeatures": "fastmm.fuse",
}


def save_model(model: Any, path: str | Path, *, notes: dict[str, Any] | None = None) -> Path:
    """Write a fitted model to a file.

    Parameters
    ----------
    model : estimator
        A fitted estimator of fastmm. Arrays on a GPU are copied to the host.
    path : str or Path
        File to write; replaced as a whole or not at all.
    notes : dict, optional
        Anything JSON can hold, kept beside the model, such as the names of columns.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    TypeError
        If the model holds something that is neither an array nor plain data.
    ImportError
        If safetensors is not installed (extra ``app``).

    Notes
    -----
    Out-of-fold predictions (attributes ``cv_...``) are left out: they describe training
    patients and prediction does not need them. A kernel machine needs the feature
    vectors of its training rows, so its file does hold those.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from fastmm import Ridge, load_model, save_model
    >>> model = Ridge().fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
    >>> file = save_model(model, pathlib.Path(tempfile.mkdtemp()) / "ridge.fastmm")
    >>> bool(load_model(file).coef_ == model.coef_)
    True
    """
    save = _safetensors().numpy.save
    arrays: dict[str, Any] = {}
    tree = {"format": _VERSION, "model": _write(model, arrays, "model"), "notes": notes or {}}
    header = json.dumps(tree, allow_nan=False)
    check = _checksum(header, arrays)
    path = Path(path)
    with replacing(path) as draft:
        draft.write_bytes(save(arrays, metadata={"fastmm": header, "sha256": check}))
    return path


def load_model(path: str | Path) -> Any:
    """Read a model that `save_model` wrote.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    estimator
        The fitted model, with NumPy arrays.

    Raises
    ------
    ModelFileError
        If the file is no model file, of another version, damaged, or holds NaN.
    FileNotFoundError
        If there is no such file.
    ImportError
        If safetensors is not installed (extra ``app``).

    Examples
    --------
    See `save_model`.
    """
    return _load(Path(path))[0]


def load_notes(path: str | Path) -> dict[str, Any]:
    """Read the notes that `save_model` kept beside the model."""
    return _load(Path(path))[1]


def _load(path: Path) -> tuple[Any, dict[str, Any]]:
    safetensors = _safetensors()
    try:
        with path.open("rb"):  # so that a missing file is a FileNotFoundError
            pass
    except IsADirectoryError:
        raise ModelFileError(f"{path.name} is a folder, no model file.") from None
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            told = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError, TypeError, OverflowError) as error:
        raise ModelFileError(f"{path.name} is damaged or no model file: {error}.") from None
    header = told.get("fastmm", "")
    if told.get("sha256") != _checksum(header, arrays):
        raise ModelFileError(f"{path.name} is damaged or no model file: its checksum is wrong.")
    tree = json.loads(header)
    if not isinstance(tree, dict) or not {"format", "model", "notes"} <= set(tree):
        raise ModelFileError(f"{path.name} describes no model of fastmm.")
    if tree["format"] != _VERSION:
        raise ModelFileError(
            f"{path.name} has format version {tree['format']}, this fastmm reads {_VERSION}."
        )
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ModelFileError(f"{path.name} holds NaN or infinity in {name}.")
    try:
        model = _read(tree["model"], arrays)
        if type(model).__name__ not in _CLASSES:
            raise ValueError("it holds no estimator")
        return model, tree["notes"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(f"{path.name} describes no model of fastmm: {error}.") from None


def _safetensors() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError:
        raise ImportError('Model files need safetensors: pip install "fastmm[app]".') from None
    return safetensors


def _checksum(header: str, arrays: dict[str, Any]) -> str:
    digest = hashlib.sha256(header.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _write(value: Any, arrays: dict[str, Any], name: str) -> Any:
    """Turn a value into JSON, its arrays put into `arrays`."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return _write(value.item(), arrays, name)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)):
        items = [_write(v, arrays, f"{name}.{i}") for i, v in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, dict):
        return {"dict": [[k, _write(v, arrays, f"{name}.{k}")] for k, v in value.items()]}
    if isinstance(value, slice):
        return {"slice": [value.start, value.stop]}
    if type(value).__name__ in _CLASSES and type(value).__module__.startswith("fastmm."):
        state = {
            key: _write(v, arrays, f"{name}.{key}")
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


def _read(node: Any, arrays: dict[str, Any]) -> Any:
    """Turn what `_write` made back into the value."""
    if isinstance(node, list):
        return [_read(v, arrays) for v in node]
    if not isinstance(node, dict):
        return node
    if "object" in node:
        if node["object"] not in _CLASSES:
            raise ValueError(f"class {node['object']!r} is not allowed")
        cls = getattr(import_module(_CLASSES[node["object"]]), node["object"])
        made = cls.__new__(cls)
        for key, value in node["state"].items():
            if not key.isidentifier() or key.startswith("__"):
                raise ValueError(f"attribute {key!r} is not allowed")
            object.__setattr__(made, key, _read(value, arrays))
        if hasattr(made, "_check_loaded"):  # what a checksum cannot know: that parts fit
            made._check_loaded()
        return made
    if "tuple" in node:
        return tuple(_read(v, arrays) for v in node["tuple"])
    if "dict" in node:
        return {key: _read(v, arrays) for key, v in node["dict"]}
    if "slice" in node:
        return slice(*node["slice"])
    if "texts" in node:
        return np.array(node["texts"])
    return arrays[node["array"]]
