"""Which chunks of a store are finished, with a checksum each: one small file for each chunk."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from fastmm._files import replacing

__all__ = ["Ledger", "first_difference"]


class Ledger:
    """Records of finished chunks in a folder, and of what made them all.

    A record appears as a whole, after its chunk: what an interrupted run leaves is a chunk
    without one.

    Parameters
    ----------
    folder : Path
        Of the store.

    Examples
    --------
    >>> ledger = Ledger(Path("store"))
    >>> ledger.finish(3, checksum="ab", source="cd")
    >>> ledger.record(3)["source"], ledger.record(4)
    ('cd', None)
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def made(self) -> dict[str, Any] | None:
        """What made the store, None where there is none yet."""
        return _read(self._folder / "made.json")

    def begin(self, made: dict[str, Any]) -> None:
        """Write down what makes the store."""
        _write(self._folder / "made.json", made)

    def record(self, chunk: int) -> dict[str, Any] | None:
        """Return what is known of a finished chunk, None of others."""
        return _read(self._file(chunk))

    def finish(self, chunk: int, **about: Any) -> None:
        """Write down that a chunk is finished."""
        _write(self._file(chunk), about)

    def _file(self, chunk: int) -> Path:
        return self._folder / "finished" / f"{chunk // 1000:04d}" / f"{chunk:08d}.json"


def _read(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError, json.JSONDecodeError):
        return None  # a damaged record is none
    return found if isinstance(found, dict) else None


def _write(file: Path, about: dict[str, Any]) -> None:
    with replacing(file) as draft:
        draft.write_text(json.dumps(about, indent=1, sort_keys=True), encoding="utf-8")


def first_difference(before: Any, now: Any, name: str = "origin") -> tuple[str, Any, Any] | None:
    """Return the name of the first difference, and both values."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            found = first_difference(before.get(key), now.get(key), key)
            if found is not None:
                return found
        return None
    same = before == now or (
        isinstance(before, float) and isinstance(now, float) and math.isnan(before + now)
    )
    return None if same else (f"`{name}`", before, now)
