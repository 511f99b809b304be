"""Where compiled CPU kernels are kept between runs.

Numba on its own keeps a kernel as long as the file that defines it is unchanged, and so
runs old code when a helper in another file changed. Here the folder is named by a hash
of all kernel sources: any change in any of them leads to a fresh folder.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from functools import cache
from pathlib import Path

__all__ = ["cache_folder", "source_hash"]


@cache
def source_hash() -> str:
    """Return a hash of the sources of all kernels."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.name == "__init__.py":  # the face, where installed beside the kernels
            continue
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@cache
def cache_folder() -> Path | None:
    """Return the folder of this version's kernels, or None where none is writable."""
    for base in _candidates():
        folder = base / "fastmm" / source_hash()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    return None


def _candidates() -> list[Path]:
    named = os.environ.get("NUMBA_CACHE_DIR")
    if named:
        return [Path(named)]
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return [Path(base).expanduser()] if base else []
    except RuntimeError:  # no home folder
        return []
