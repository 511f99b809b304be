"""How a report writes JSON values as people read them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fastmm.report.values import is_number

__all__ = [
    "NOTHING",
    "amount",
    "duration",
    "estimate",
    "interval_name",
    "moment",
    "pvalue",
    "score",
    "signed",
    "span",
    "text",
]

NOTHING = "—"
_MINUS = "\N{MINUS SIGN}"


def score(value: Any) -> str:
    """Round a score of which 1 is perfect to three digits, but never to perfect or nothing."""
    if not is_number(value):
        return NOTHING
    if value < 1 and f"{value:.3f}" == "1.000":
        return "> 0.999"
    if value > 0 and f"{value:.3f}" == "0.000":
        return "< 0.001"
    return f"{value:.3f}".replace("-", _MINUS)


def span(low: Any, high: Any) -> str | None:
    """Write an interval of scores, None where an end is not known."""
    return f"{score(low)} to {score(high)}" if is_number(low) and is_number(high) else None


def estimate(row: Mapping[str, Any], name: str) -> str:
    """Write a score with its interval, where that is known."""
    ends = span(row.get(f"{name}_low"), row.get(f"{name}_high"))
    return f"{score(row.get(name))} ({ends})" if ends else score(row.get(name))


def pvalue(value: Any) -> str:
    """Write a p-value to three digits."""
    if not is_number(value):
        return NOTHING
    return "< 0.001" if value < 0.0005 else f"{value:.3f}"


def signed(value: Any) -> str:
    """Write a difference of scores with its sign."""
    if not is_number(value):
        return NOTHING
    rounded = f"{abs(value):.3f}"
    return rounded if float(rounded) == 0 else f"{_MINUS if value < 0 else '+'}{rounded}"


def interval_name(confidence: Any) -> str:
    """Name an interval by its confidence, where that is known."""
    return f"{100 * confidence:.4g}% interval" if is_number(confidence) else "interval"


def amount(value: Any) -> str:
    """Round to three digits, keeping every digit before the point."""
    if not is_number(value):
        return NOTHING
    if isinstance(value, int) or (abs(value) >= 100 and abs(value) < 1e9):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def duration(seconds: Any) -> str:
    """Write seconds, or milliseconds where they say more."""
    if is_number(seconds) and 0 < seconds < 0.1:
        return f"{amount(1000.0 * seconds)} ms"
    return f"{amount(seconds)} s" if is_number(seconds) else NOTHING


def moment(value: Any) -> str:
    """Write an ISO 8601 moment as people do, in UTC where its zone is known."""
    try:
        then = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return text(value) if value else ""
    if then.tzinfo is None:
        return f"{then:%Y-%m-%d %H:%M}"
    return f"{then.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def text(value: Any) -> str:
    """Write any JSON value in a cell."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(text(item) for item in value) or "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
