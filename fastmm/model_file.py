"""Save fitted models as arrays and JSON, and load them without running any code in them.

The file is in the safetensors format: a header of JSON, then plain arrays. The header
describes the model as a tree of values and objects of a fixed list of classes; nothing
is pickled, and a checksum covers all of it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from fastmm._files import replacing
from fastmm.errors import ModelFileError
from fastmm.model_tree import CLASSES, read_tree, write_tree

__all__ = ["load_model", "save_model"]

_VERSION = 2
# What a tree that is none of ours can end in, as it is read: keys, types, depth, sizes.
_UNFIT = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


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
    tree = {"format": _VERSION, "model": write_tree(model, arrays, "model"), "notes": notes or {}}
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
    try:
        tree = json.loads(header, parse_constant=_refuse_constant)
        if not isinstance(tree, dict) or not {"format", "model", "notes"} <= set(tree):
            raise ValueError("its header has other entries")
        if tree["format"] != _VERSION:
            raise ModelFileError(
                f"{path.name} has format version {_shown(tree['format'])}, this fastmm reads "
                f"{_VERSION}."
            )
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ModelFileError(f"{path.name} holds NaN or infinity in {_shown(name)}.")
        model = read_tree(tree["model"], arrays)
        if type(model).__name__ not in CLASSES:
            raise ValueError("it holds no estimator")
        if not isinstance(tree["notes"], dict):
            raise ValueError("its notes are no table")
        return model, tree["notes"]
    except ModelFileError as error:
        if str(error).startswith(path.name):
            raise
        raise ModelFileError(f"{path.name}: {error}") from None
    except _UNFIT as error:
        raise ModelFileError(
            f"{path.name} describes no model of fastmm: {_shown(error)}."
        ) from None


def _refuse_constant(name: str) -> float:
    raise ValueError(f"it holds the number {name}")


def _shown(value: object) -> str:
    """Return text of a file in a form that fits a message."""
    text = " ".join(str(value).split())
    return text if len(text) <= 200 else f"{text[:200]} ..."


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
