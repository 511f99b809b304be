"""Where CUDA code that Numba has linked for a device is kept between runs.

Beside the CPU builds, in the folder that is named by a hash of all kernel sources. A file is
one build: its digest, the name of its entry, and its code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import CodeType
from typing import Any, NamedTuple

from ._cache import cache_folder

__all__ = ["Linked", "Store", "forget", "load", "save", "store_of"]

_COMPILERS = ("numba", "numba-cuda", "nvidia-nvvm", "nvidia-nvjitlink")


class Linked(NamedTuple):
    """The code of one build, and the name by which a module hands it out."""

    entry: str
    code: bytes


class Store(NamedTuple):
    """Names the builds of one kernel: its own name, and a digest of what it is made of."""

    name: str
    digest: str

    def file(self, kinds: Iterable[Any], capability: str) -> Path | None:
        """Return the file of the build for these kinds of arguments, None where none can be."""
        if (folder := cache_folder()) is None:
            return None
        about = repr((self.digest, [_said(kind) for kind in kinds], capability, _compilers()))
        key = hashlib.sha256(about.encode()).hexdigest()[:32]
        return folder / "cuda" / f"{self.name}-{key}.cubin"


def store_of(name: str, *functions: Any) -> Store:
    """Return the store of a kernel of these functions, the loop and its helpers."""
    digest = hashlib.sha256()
    for function in functions:
        digest.update(repr(_parts(getattr(function, "py_func", function).__code__)).encode())
    return Store(name, digest.hexdigest())


def load(file: Path | None) -> Linked | None:
    """Return the build in a file; None where there is none, or a damaged one."""
    if file is None:
        return None
    try:
        digest, entry, code = file.read_bytes().split(b"\n", 2)
    except (OSError, ValueError):
        return None
    whole = hashlib.sha256(entry + b"\n" + code).hexdigest().encode() == digest
    return Linked(entry.decode(), code) if whole else None


def save(file: Path | None, linked: Linked) -> None:
    """Write a build as a whole, where there is room."""
    if file is None:
        return
    content = linked.entry.encode() + b"\n" + linked.code
    digest = hashlib.sha256(content).hexdigest().encode()
    with suppress(OSError):
        file.parent.mkdir(exist_ok=True)
        with NamedTemporaryFile(dir=file.parent, delete=False) as draft:
            draft.write(digest + b"\n" + content)
        Path(draft.name).replace(file)


def forget(file: Path | None) -> None:
    """Remove a build that a driver refuses."""
    if file is not None:
        with suppress(OSError):
            file.unlink()


def _parts(code: CodeType) -> tuple[Any, ...]:
    # Files of kernels are in the folder's name; this tells apart what other files define.
    inner = [_parts(c) if isinstance(c, CodeType) else c for c in code.co_consts]
    return code.co_name, code.co_code, inner, code.co_names


def _said(kind: Any) -> str:
    return repr(kind) if isinstance(kind, tuple) else kind.__name__


@cache
def _compilers() -> tuple[str, ...]:
    """Return the versions of what makes the code."""
    found = []
    for name in _COMPILERS:
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return tuple(found)
