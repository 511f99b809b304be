"""Every operator and every estimator can be held within a limit of memory."""

from __future__ import annotations

import inspect

import pytest

import fastmm

NONE_NEEDED = {
    "SeriesInfo": "what a header tells",
    "TableModality": "a table is texts in memory, and stays what it is",
    "Volume": "holds an array, and computes nothing",
    "load_model": "a model is in memory",
    "read_volume": "one volume, whose size `fastmm.read.limits` bounds",
    "save_model": "a model is in memory",
    "scan": "headers, one at a time",
}


def takes_a_limit(value):
    calls = [
        value,
        *(getattr(value, name, None) for name in ("fit", "transform", "extract", "apply")),
    ]
    return any(
        "memory_limit" in inspect.signature(call).parameters for call in calls if callable(call)
    )


@pytest.mark.parametrize("name", sorted(set(fastmm.__all__) - fastmm._MODULES - {"__version__"}))
def test_it_takes_a_memory_limit_or_needs_none(name):
    assert takes_a_limit(getattr(fastmm, name)) != (name in NONE_NEEDED)
