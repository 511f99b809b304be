"""Read results of ``fastmm bench`` back, and set two of them side by side."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from fastmm.bench.running import FORMAT
from fastmm.errors import FastmmError

__all__ = ["compare", "read_results"]

_NEEDED = {"stage": str, "size": str, "device": str, "task": str, "rate": float, "unit": str}


def read_results(path: Path) -> dict[str, Any]:
    """Read a file that ``fastmm bench --json`` wrote; a FastmmError for any other."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise FastmmError(
            f"{path} is not JSON: {error}. Name a file of `fastmm bench --json`."
        ) from None
    if not isinstance(found, dict) or found.get("fastmm_bench") != FORMAT:
        raise FastmmError(
            f"{path} has no results of `fastmm bench` of format {FORMAT}; measure again with "
            "--json."
        )
    rows = found.get("results")
    if not isinstance(rows, list) or not all(map(_usable, rows)):
        raise FastmmError(f"{path} holds a damaged result; measure again with --json.")
    return found


def compare(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    """Pair the results of the same task on the same kind of device.

    ``ratio`` is how many times as fast the second is; ``clear`` whether the quartiles of the
    two do not overlap: what is not clear may be noise.
    """
    known = {_key(row): row for row in before["results"]}
    pairs = []
    for row in after["results"]:
        other = known.get(_key(row))
        if other is None:
            continue
        a, b = other["seconds"], row["seconds"]
        pairs.append(
            {
                "stage": row["stage"],
                "size": row["size"],
                "devices": (other["device"], row["device"]),
                "task": row["task"],
                "seconds": (a["median"], b["median"]),
                "ratio": a["median"] / b["median"],
                "clear": b["high"] < a["low"] or a["high"] < b["low"],
            }
        )
    return pairs


def _key(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["stage"], row["task"], row["device"].partition(":")[0]


def _usable(row: Any) -> bool:
    if not isinstance(row, dict):
        return False
    for name, kind in _NEEDED.items():
        if not isinstance(row.get(name), (int, float) if kind is float else kind):
            return False
    seconds = row.get("seconds")
    if not isinstance(seconds, dict):
        return False
    times = [seconds.get(name) for name in ("median", "low", "high")]
    return all(isinstance(t, (int, float)) and math.isfinite(t) and t > 0 for t in times)
