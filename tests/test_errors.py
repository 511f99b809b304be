"""The exceptions: what catches them, and that they travel between processes."""

from __future__ import annotations

import pickle

import pytest

from fastmm import errors


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_of_a_builtin_kind(name):
    kind = getattr(errors, name)
    builtin = MemoryError if name == "DeviceMemoryError" else ValueError
    assert issubclass(kind, builtin)
    assert issubclass(kind, errors.FastmmError) == (builtin is ValueError)
    assert kind.__doc__


@pytest.mark.parametrize("name", errors.__all__)
def test_errors_survive_pickling(name):
    # A worker process hands them back that way.
    error = pickle.loads(pickle.dumps(getattr(errors, name)("scan.dcm: no pixels")))
    assert type(error).__name__ == name
    assert str(error) == "scan.dcm: no pixels"


def test_all_is_complete():
    defined = {n for n, v in vars(errors).items() if isinstance(v, type)}
    assert defined == set(errors.__all__)
