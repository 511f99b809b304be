"""Support vector machines solved on the rows that matter, against all rows at once."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel

from fastmm._space import Space
from fastmm.solve.kernel.gram import KernelFunction
from fastmm.solve.svm import working_set
from fastmm.solve.svm.kernel import DenseKernel, LazyKernel
from fastmm.solve.svm.newton import minimise
from fastmm.solve.svm.system import ActiveSystem, State
from fastmm.solve.svm.working_set import minimise_in_parts

HOST = Space("cpu")


def problem(n=400, weighted=False, shift=2.0, C=50.0):
    rng = np.random.default_rng(0)
    y = np.where(np.arange(n) % 2, 1.0, -1.0)
    X = rng.normal(size=(n, 6)) + shift * (y[:, None] > 0)
    root = rng.uniform(0, 2, n) * (rng.random(n) < 0.8) if weighted else np.ones(n)
    lazy = LazyKernel(KernelFunction("rbf", 0.1), X, HOST)
    dense = DenseKernel(rbf_kernel(X, gamma=0.1), HOST)
    return [ActiveSystem(kernel, y, C, HOST) for kernel in (lazy, dense)], root


def start(system, rows):
    """Return the machine of some rows alone, as a state of all."""
    y = system.y
    root = np.zeros(len(y))
    root[rows] = 1.0
    nothing = State(np.zeros(len(y)), 0.0, np.zeros(len(y)))
    return minimise(system, root, nothing, 1e-6, 50).state


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_parts_end_where_all_rows_do(weighted, monkeypatch):
    (system, everything), root = problem(weighted=weighted)
    state = start(everything, np.arange(100))
    expected = minimise(everything, root, state, 1e-9, 50)
    parts, whole = [], []
    monkeypatch.setattr(
        working_set,
        "minimise",
        lambda inner, *rest, **how: (
            (whole if inner is system else parts).append(inner.y.size)
            or minimise(inner, *rest, **how)
        ),
    )
    found = minimise_in_parts(system, root, state, 1e-9, 50)
    assert found.converged
    assert found.residual <= 1e-9
    assert parts
    assert parts == sorted(parts)
    assert not whole
    assert system.kernel.count < 300  # most of the kernel was never computed
    scale = abs(expected.state.dual).max()
    np.testing.assert_allclose(found.state.dual, expected.state.dual, atol=1e-8 * scale)
    scores = [one.state.field + one.state.intercept for one in (found, expected)]
    np.testing.assert_allclose(*scores, atol=1e-8)


def test_where_most_rows_matter_all_are_solved(monkeypatch):
    (system, everything), root = problem(shift=0.1, C=0.1)
    state = start(everything, np.arange(80))
    seen = []
    monkeypatch.setattr(
        working_set,
        "minimise",
        lambda inner, *rest, **how: seen.append(inner) or minimise(inner, *rest, **how),
    )
    found = minimise_in_parts(system, root, state, 1e-9, 50)
    assert seen == [system]
    expected = minimise(everything, root, state, 1e-9, 50)
    scale = abs(expected.state.dual).max()
    np.testing.assert_allclose(found.state.dual, expected.state.dual, atol=1e-8 * scale)


def test_a_limit_of_steps_is_kept():
    (system, everything), root = problem()
    found = minimise_in_parts(system, root, start(everything, np.arange(6)), 1e-12, 2)
    assert not found.converged
    assert found.n_iter <= 3
