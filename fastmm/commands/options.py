"""What several commands share: their notice, and what was typed."""

from __future__ import annotations

import shlex
import sys

__all__ = ["NOTICE", "typed"]

NOTICE = "For research only; not a medical device."


def typed() -> str:
    """Return the command as it was typed, for the report."""
    return shlex.join(["fastmm", *sys.argv[1:]])
