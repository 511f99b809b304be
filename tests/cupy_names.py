"""What CuPy has, and the arguments that it takes: read from cupy_names.txt.

``python tests/cupy_names.py`` writes that file anew from the CuPy that is installed, which
needs no GPU. A line is a name and its parameters; ``ufunc`` stands for those of a ufunc.
"""

from __future__ import annotations

import inspect
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

FILE = Path(__file__).with_suffix(".txt")
MODULES = (
    "cupy", "cupy.linalg", "cupy.fft", "cupy.lib.stride_tricks", "cupyx", "cupyx.scipy.linalg",
    "cupyx.scipy.ndimage",
)  # fmt: skip
_UFUNC = "x1 /, x2 /, x3 /, out=, casting=, dtype="


@cache
def cupy_names() -> dict[str, str]:
    """Return the parameters of every name, by its path ("cupy.linalg.norm")."""
    lines = FILE.read_text().splitlines()
    return dict(line.partition(" ")[::2] for line in lines if not line.startswith("#"))


def signature(parameters: str) -> inspect.Signature:
    """Build a signature from a line of the file: ``a, axis=, *, dtype=``."""
    kind, found = inspect.Parameter.POSITIONAL_OR_KEYWORD, []
    for part in (_UFUNC if parameters == "ufunc" else parameters).split(", "):
        name, optional = part.rstrip("=/ "), part.endswith("=")
        if part == "*":
            kind = inspect.Parameter.KEYWORD_ONLY
        elif part.startswith("**"):
            found.append(inspect.Parameter(name[2:], inspect.Parameter.VAR_KEYWORD))
        elif part.startswith("*"):
            found.append(inspect.Parameter(name[1:], inspect.Parameter.VAR_POSITIONAL))
            kind = inspect.Parameter.KEYWORD_ONLY
        elif part:
            this = inspect.Parameter.POSITIONAL_ONLY if part.endswith("/") else kind
            default = None if optional or part.endswith("/") else inspect.Parameter.empty
            found.append(inspect.Parameter(name, this, default=default))
    return inspect.Signature(found)


def record() -> None:
    """Write the file."""
    import cupy

    for library in ("cublas", "cusolver", "cusparse"):  # parts of CUDA that may be missing here
        setattr(cupy.cuda, library, ModuleType(library))
    lines = [f"# CuPy {cupy.__version__}"]
    for path in MODULES:
        module = import_module(path)
        for name in sorted(n for n in dir(module) if not n.startswith("_")):
            value = getattr(module, name)
            if callable(value) and not isinstance(value, type):
                lines.append(f"{path}.{name} {_parameters(value)}".rstrip())
    for name in sorted(dir(cupy.ndarray)):
        value = getattr(cupy.ndarray, name)
        plain = name.startswith("__") or not callable(value)
        lines.append(f"cupy.ndarray.{name} {'' if plain else _parameters(value)}".rstrip())
    FILE.write_text("\n".join(lines) + "\n")


def _parameters(function: Any) -> str:
    if type(function).__name__ == "ufunc":
        return "ufunc"
    try:
        given = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return _from_docstring(function)
    parts, starred = [], False
    for p in given:
        if p.kind is p.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        starred |= p.kind is p.VAR_POSITIONAL
        mark = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        optional = p.default is not p.empty and not mark
        parts.append(mark + p.name + ("=" if optional else ""))
    return ", ".join(parts)


def _from_docstring(function: Any) -> str:
    # Cython writes the signature into the first line.
    first = (function.__doc__ or "").partition("\n")[0]
    inside = re.search(r"\((.*)\)", first)
    parts = [] if inside is None else inside[1].split(", ")
    named = (re.sub(r"^(?:\w+ )+", "", part) for part in parts)
    return ", ".join(re.sub(r"=.*", "=", part) for part in named if part and part != "self")


if __name__ == "__main__":
    record()
